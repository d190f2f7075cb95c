#!/usr/bin/env python3
"""macho.py FILE: what is wrong with a 64-bit Mach-O library that is to be loaded on any Mac; nothing
when all is right. It names libraries that a Mac does not bring, and paths of the machine that built
it, and says when a processor that runs nothing unsigned would refuse it.

The formats are those of mach-o/loader.h: a head of 32 bytes, then the load commands, each with its
kind and its length first."""
import struct
import sys

ARM64 = 0x0100000C
LOADS, IS_CALLED, SIGNATURE = (0xC, 0x80000018, 0x8000001F), 0xD, 0x1D


def commands(data):
    count, size = struct.unpack_from("<II", data, 16)
    at, end = 32, 32 + size
    for _ in range(count):
        kind, length = struct.unpack_from("<II", data, at)
        if length < 8 or at + length > min(end, len(data)):
            raise ValueError("load commands that end too early")
        yield kind, data[at:at + length]
        at += length


def name_of(command):
    (start,) = struct.unpack_from("<I", command, 8)
    return command[start:].rstrip(b"\0").decode()


def wrongs(data):
    (cpu,) = struct.unpack_from("<I", data, 4)
    kinds = set()
    for kind, command in commands(data):
        kinds.add(kind)
        if kind in LOADS and not name_of(command).startswith(("/usr/lib/", "/System/Library/")):
            yield "needs " + name_of(command)
        if kind == IS_CALLED and not name_of(command).startswith("@rpath/"):
            yield "is called " + name_of(command) + ", a path of the machine that built it"
    if cpu == ARM64 and SIGNATURE not in kinds:
        yield "is not signed"


try:
    with open(sys.argv[1], "rb") as file:
        print("\n".join(wrongs(file.read())))
except (struct.error, ValueError) as error:
    print("cannot be read:", error)
