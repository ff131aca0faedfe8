# SSH - the identification of either side
# Pattern attributes: great fast
ssh
^ssh-(1\.[0-9]{1,2}|2\.0)-[!-~]
