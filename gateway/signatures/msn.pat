# MSN Messenger - notification server, switchboard, direct transfers, and the gateway over HTTP
# Pattern attributes: good fast subset
msn
^ver [0-9]+ msnp[0-9]|^ver msnftp\x0d?\x0a|^usr [0-9]+ [!-~]+@[!-~]+ [!-~]+\x0d?\x0a|^ans [0-9]+ [!-~]+@[!-~]+ [!-~]+ [!-~]+\x0d?\x0a|^post [^ ]*gateway/gateway\.dll\?(action|sessionid)=
