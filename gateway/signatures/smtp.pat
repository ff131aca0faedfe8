# SMTP - a greeting that says so, or one that is followed by what only an SMTP client says
# Pattern attributes: good fast
smtp
^220[ -][\x09-\x0d -~\x80-\xff]* e?smtp|^220[ -][\x09-\x0d -~\x80-\xff]*\x0d\x0a(ehlo|helo) [!-~]
