# XMPP (Jabber) - the opening of a stream
# Pattern attributes: good fast
xmpp
^(<\?xml[^>]*\?>[\x09-\x0d ]*)?<stream:stream[^>]*etherx\.jabber\.org/streams
