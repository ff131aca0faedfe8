# Direct Connect and ADC - hubs and peers
# Pattern attributes: good fast
directConnect
^\$(lock [!-~]+ pk=|mynick [!-~]+\||supports [ -~]+\|)|^[hci]sup( ad[a-z0-9]{4})+
