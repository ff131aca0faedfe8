# FTP - a greeting that says so, or one that is followed by what only an FTP client says
# Pattern attributes: good fast
ftp
^220[ -][\x09-\x0d -~\x80-\xff]*ftp|^220[ -][\x09-\x0d -~\x80-\xff]*\x0d\x0a(user [!-~]+\x0d\x0a|auth (tls|ssl)\x0d\x0a|feat\x0d\x0a)
