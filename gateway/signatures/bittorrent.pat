# BitTorrent - exchange of files between peers: handshake, tracker over HTTP, search on the local network
# Pattern attributes: good fast subset
bittorrent
^\x13bittorrent protocol|^get [^ ]*[?&]info_hash=[^ ]* http/|^bt-search \* http/1\.1\x0d\x0a
