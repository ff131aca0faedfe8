# RDP - the connection request with its routing cookie
# Pattern attributes: ok fast
rdp
^\x03.{1,2}\xe0cookie: mstshash=
