# SSDP - search for devices on the local network, HTTP over UDP
# Pattern attributes: great fast subset
ssdp
^(m-search|notify) \* http/1\.1\x0d\x0a
