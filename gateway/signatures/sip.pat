# SIP - requests and answers, over UDP or TCP
# Pattern attributes: great fast
sip
^(invite|register|ack|bye|cancel|options|subscribe|notify|message|info|prack|update|refer|publish) (sips?|tel):[!-~]+ sip/2\.0\x0d?\x0a|^sip/2\.0 [1-6][0-9][0-9] 
