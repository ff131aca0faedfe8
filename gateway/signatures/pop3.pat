# POP3 - greeting, and a client's first command
# Pattern attributes: good fast
pop3
^\+ok[\x09-\x0d -~]*\x0d\x0a(user |apop |capa\x0d|auth|stls\x0d)
