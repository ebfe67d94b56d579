//! libassuan's own commands, answered as it answers them.
//!
//! `INPUT` and `OUTPUT` are answered but have no effect: no command of ours reads or writes a descriptor named by a
//! client, and closing one on `RESET`, as libassuan does, would let a client close any of the server's. Section 2.2 of
//! the scdaemon reference.

use super::{Event, Session, owned};
use crate::error::Code;
use crate::line::write;
use crate::table::{self, BuiltIn, Found};

impl Session {
    pub(super) fn built_in(&mut self, command: BuiltIn, args: &[u8]) -> Option<Event> {
        match command {
            BuiltIn::Nop => self.okay(),
            BuiltIn::Cancel | BuiltIn::Auth | BuiltIn::End => self.refuse(Code::NOT_IMPLEMENTED, None),
            BuiltIn::Option => self.option(args),
            BuiltIn::Bye => self.run(Event::Bye),
            BuiltIn::Reset => self.run(Event::Reset { args: owned(args) }),
            BuiltIn::Help => self.help(args),
        }
    }

    /// `INPUT FD=n` and `OUTPUT FD=n`.
    pub(super) fn descriptor(&mut self, args: &[u8]) -> Option<Event> {
        let behind = args.strip_prefix(b"FD").or_else(|| args.strip_prefix(b"fd"));
        match behind {
            Some([b'=', b'0'..=b'9', ..]) => self.okay(),
            Some([b'=', ..]) => self.refuse(Code::ASS_SYNTAX, Some("number required")),
            Some([] | [b' ' | b'\t', ..]) => self.refuse(Code::NOT_IMPLEMENTED, Some(NO_DESCRIPTORS)),
            _ => self.refuse(Code::ASS_SYNTAX, Some("FD[=<n>] expected")),
        }
    }

    fn okay(&mut self) -> Option<Event> {
        write::ok(&mut self.output, "");
        None
    }

    fn option(&mut self, args: &[u8]) -> Option<Event> {
        match parse_option(args) {
            Ok((name, value)) => self.run(Event::Option { name: owned(name), value: owned(value) }),
            Err(text) => self.refuse(Code::ASS_SYNTAX, Some(text)),
        }
    }

    fn help(&mut self, args: &[u8]) -> Option<Event> {
        let word = args.split(|octet| is_blank(*octet)).next().unwrap_or_default();
        if word.is_empty() {
            table::usages(self.table).for_each(|usage| write::comment(&mut self.output, usage));
            return self.okay();
        }
        let row = match table::find(self.table, word) {
            Some(Found::Row(index)) => self.table.get(index),
            Some(Found::BuiltIn(_) | Found::OnDemand) => None,
            None => return self.refuse(Code::UNKNOWN_COMMAND, None),
        };
        let Some(row) = row.filter(|row| !row.help.is_empty()) else {
            return self.refuse(Code::NOT_FOUND, None);
        };
        row.help.lines().for_each(|line| write::comment(&mut self.output, line));
        self.okay()
    }
}

/// What libassuan says on a connection that cannot pass descriptors.
const NO_DESCRIPTORS: &str = "server does not support sending and receiving of file descriptors";

/// `[--]name [=] [value]` as name and value, or what is wrong with it.
fn parse_option(args: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let args = trim_start(args);
    if args.is_empty() {
        return Err("argument required");
    }
    let name_len = args.iter().position(|octet| is_blank(*octet) || *octet == b'=').unwrap_or(args.len());
    let (name, behind) = args.split_at_checked(name_len).unwrap_or((args, &[]));
    if name.is_empty() {
        return Err("no option name given");
    }
    let behind = trim_start(behind);
    let value = match behind.strip_prefix(b"=").map(trim_start) {
        Some([]) => return Err("option argument expected"),
        Some(value) => value,
        None => behind,
    };
    let name = name.strip_prefix(b"--").filter(|name| !name.is_empty()).unwrap_or(name);
    if name.starts_with(b"-") {
        return Err("option should not begin with one dash");
    }
    Ok((name, trim_end(value)))
}

fn trim_start(mut octets: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = octets
        && is_blank(*first)
    {
        octets = rest;
    }
    octets
}

fn trim_end(mut octets: &[u8]) -> &[u8] {
    while let [rest @ .., last] = octets
        && is_blank(*last)
    {
        octets = rest;
    }
    octets
}

fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}
