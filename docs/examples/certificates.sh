#!/bin/sh
# Copies every certificate that cards and the local store have into files, by way of the agent: FOLDER/<sha256>.der.
# Says one line for each: its digest, its keygrip, its subject. The protocol is told in docs/protocol.md.
#   certificates.sh FOLDER
set -eu
folder=${1:?usage: certificates.sh FOLDER}

if ! gpg-connect-agent 'SCD GETINFO cmd_has_option READCERT chain' /bye | grep -q '^OK'; then
    echo 'certificates: the scdaemon here cannot list certificates' >&2
    exit 1
fi
# So that cards are looked for; that there is none is no reason to stop.
gpg-connect-agent 'SCD SERIALNO' 'SCD LISTCERTS' /bye |
    while read -r status keyword id _ keygrip _ sha256 _ _ _ subject; do
        [ "$status $keyword" = 'S CERTIFICATE' ] || continue
        gpg-connect-agent "/datafile $folder/$sha256.der" "SCD READCERT $id" /bye </dev/null >/dev/null
        echo "$sha256 $keygrip $subject"
    done
