#!/usr/bin/env python3
"""A client of the scdaemon protocol (docs/protocol.md), whole and short. Python 3 and nothing else.

    client.py SOCKET [--agent] keys                     the keys on cards: keygrip, reference, serial number
    client.py SOCKET [--agent] certificates             id, keygrip, flags and subject of each certificate
    client.py SOCKET [--agent] read REF                 a certificate, DER, to standard output
    client.py SOCKET [--agent] sign KEYGRIP FILE        signs the SHA-256 digest of FILE, to standard output

SOCKET is what `gpg-connect-agent 'SCD GETINFO socket_name' /bye` says. With --agent it is the agent's (`gpgconf --list-dirs
agent-socket`), which asks for the PIN itself; else the PIN comes from the file CLAVIGER_PIN_FILE, or from the terminal.
"""

import getpass
import hashlib
import os
import re
import socket
import sys
import urllib.parse


class Refused(Exception):
    """The server's ERR: its number is source * 2**24 + code."""

    def __init__(self, number, text):
        super().__init__(f"{text} (code {number & 0xFFFF})")


def unescape(octets):  # of a D line, where nothing else is special, not even a plus
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), octets)


def escape(octets):  # what a D line must not hold as it is, and NUL for good measure
    return re.sub(rb"[%\r\n\0]", lambda match: b"%%%02X" % match[0][0], octets)


class Scdaemon:
    def __init__(self, path, through_agent):
        self.prefix = "SCD " if through_agent else ""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.answer()  # the greeting

    def send(self, line):
        self.socket.sendall(line + b"\n")

    def ask(self, command):
        """Sends a command; gives its data and its status lines, as (keyword, value)."""
        self.send((self.prefix + command).encode())
        return self.answer()

    def answer(self):
        data, statuses = b"", []
        while True:  # until OK or ERR; comments are skipped
            line = self.lines.readline()
            if not line.endswith(b"\n"):
                raise EOFError("the server has hung up")
            word, _, rest = line[:-1].partition(b" ")
            if word == b"D":
                data += unescape(rest)
            elif word == b"S":
                keyword, _, value = rest.decode(errors="replace").partition(" ")
                statuses.append((keyword, value))
            elif word == b"INQUIRE":
                self.inquired(*rest.decode(errors="replace").partition(" ")[::2])
            elif word == b"ERR":
                number, _, text = rest.decode(errors="replace").partition(" ")
                raise Refused(int(number), text)
            elif word == b"OK":
                return data, statuses

    def inquired(self, keyword, argument):
        if keyword != "NEEDPIN":
            self.send(b"END")  # something to be shown, or of no concern to us
        elif (pin := ask_pin(argument)) is None:
            self.send(b"CAN")  # an ERR follows
        else:
            self.send(b"D " + escape(pin + b"\0"))
            self.send(b"END")


def ask_pin(question):  # None if the person will not
    if path := os.environ.get("CLAVIGER_PIN_FILE"):
        with open(path, "rb") as file:
            return file.readline().rstrip(b"\n")
    text = urllib.parse.unquote(question.split("|", 2)[-1]).translate({0x1E: None, 0x1F: None})
    try:
        return getpass.getpass(f"{text}\nPIN: ").encode() or None
    except (EOFError, KeyboardInterrupt):
        return None


def main(path, *words):
    daemon = Scdaemon(path, through_agent := words[:1] == ("--agent",))
    daemon.ask("SERIALNO")
    match words[through_agent:]:
        case ["keys"]:
            for _, value in daemon.ask("KEYINFO --list")[1]:
                grip, _, serial, reference, *_ = value.split(" ")
                print(grip, reference, serial)
        case ["certificates"]:
            for _, value in daemon.ask("LISTCERTS")[1]:
                name, _, grip, _, _, _, _, flags, subject = value.split(" ")
                print(name, grip, flags, urllib.parse.unquote_plus(subject))
        case ["read", reference]:
            sys.stdout.buffer.write(daemon.ask("READCERT " + urllib.parse.quote(reference, safe="/:#=,"))[0])
        case ["sign", key, name]:
            with open(name, "rb") as file:
                daemon.ask("SETDATA " + hashlib.sha256(file.read()).hexdigest())
            sys.stdout.buffer.write(daemon.ask("PKSIGN --hash=sha256 " + key)[0])
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Refused, OSError, EOFError) as error:
        sys.exit(f"client: {error}")
