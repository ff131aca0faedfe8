# rsync - greeting of the daemon
# Pattern attributes: great fast
rsync
^@rsyncd: [0-9]+
