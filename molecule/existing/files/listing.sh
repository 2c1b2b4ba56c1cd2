# All that a role could leave on a host: files with mode, owner and digest; accounts and groups.
# Left out is what the system writes by itself: caches of apt and dpkg, and the former accounts that each change of a group keeps.
set -eu
find /etc /srv /usr/local /var/lib \
    \( -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /etc/group- -o -path /etc/gshadow- \) -prune \
    -o -printf '%p %y %m %u %g %l\n' -type f -exec sha256sum {} + | sort
getent passwd
getent group
