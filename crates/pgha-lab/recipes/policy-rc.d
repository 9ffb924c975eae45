#!/bin/sh
# No package may start a daemon while it is installed.
exit 101
