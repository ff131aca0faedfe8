# Yahoo Messenger
# Pattern attributes: good fast
yahooMessenger
^ymsg[\x01-\x20]
