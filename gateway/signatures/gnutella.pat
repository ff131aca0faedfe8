# Gnutella and Gnutella2 - handshake, push, and downloads by hash over HTTP
# Pattern attributes: good fast subset
gnutella
^gnutella connect/[0-9]\.[0-9]|^gnutella/[0-9]\.[0-9] [0-9][0-9][0-9]|^giv [0-9]+:[0-9a-f]{32}/|^(get|head) /uri-res/n2[a-z]\?urn:(sha1|bitprint|tree|ed2k):|^(get|head) /get/[0-9]+/[^\x0d\x0a]+ http/|^(get|head|http/)[\x09-\x0d -~]*\x0d\x0ax-gnutella-
