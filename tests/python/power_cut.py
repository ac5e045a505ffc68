"""Cuts the power of an ext4 or XFS file system: what was not synced is gone, later I/O fails.

usage: power_cut.py MOUNTPOINT
"""

import fcntl
import os
import struct
import sys

# EXT4_IOC_SHUTDOWN, which XFS understands too, and "do not flush the journal".
SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2

mountpoint = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(mountpoint, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
