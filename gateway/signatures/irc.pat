# Internet Relay Chat - registration of a client, or a server's first words
# Pattern attributes: good fast
irc
^(cap (ls|req|end)[ -~]*\x0d?\x0a)?(pass [!-~]+\x0d?\x0a)?(nick :?[!-~]+\x0d?\x0a|user [!-~]+ [!-~]+ [!-~]+ :?[ -~])|^:[!-~]+ (notice|[0-9][0-9][0-9]) [!-~]+ :|^notice auth :|^cap ls( 30[0-9])?\x0d?\x0a
