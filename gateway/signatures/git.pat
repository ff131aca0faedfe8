# git - its own protocol
# Pattern attributes: great fast
git
^[0-9a-f]{4}git-(upload|receive)-(pack|archive) 
