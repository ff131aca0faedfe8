# Napster and OpenNap - log in at a server, and a transfer between two users. Lengths and types lose their NUL bytes.
# Pattern attributes: good fast
opennap
^.{1,2}[\x02\x06][!-~]{1,64} [!-~]{1,64} [0-9]{1,5} "[^"]{1,128}" [0-9]{1,2}|^1?(get|send) ?[!-~]{1,64} "[^"]{1,255}" [0-9]{1,12}
