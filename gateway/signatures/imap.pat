# IMAP - a greeting that says so, or a client's first command
# Pattern attributes: good fast
imap
^\* (ok|preauth)[ -~]*imap4|^\* (ok|preauth)[ -~]*\x0d\x0a[!-~]{1,20} (capability|login|authenticate|starttls|id)[ \x0d]
