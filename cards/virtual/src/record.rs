//! Writes down what an applet was asked and answered, as a [script](crate::script) that plays it again.
//!
//! Unlike the log this tells all data, a session key that was deciphered too: it is for cards made for the purpose. Only
//! PINs and imported keys are left open, as names of their length, for the author to fill in.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use crate::{
    apdu::{Command, Response},
    chip::Applet,
    hex, instruction,
};

/// An applet that is listened to.
pub struct Recorded<'a> {
    inner: Box<dyn Applet + 'a>,
    file: File,
    /// How many octets were left open so far; each gets a name of its own.
    open: u32,
}

impl<'a> Recorded<'a> {
    /// Listens to `inner` and writes to a new file at `path`.
    ///
    /// # Errors
    /// If there is no writing there.
    pub fn new(inner: Box<dyn Applet + 'a>, path: &Path) -> io::Result<Self> {
        Ok(Self { inner, file: File::create(path)?, open: 0 })
    }

    /// A full disk does not stop the card; the script ends early.
    fn write(&mut self, command: &Command<'_>, response: &Response) {
        let data = if instruction::carries_secret(command) {
            self.open = self.open.saturating_add(1);
            format!("{{secret{}:{}}}", self.open, command.data.len())
        } else {
            hex::encode(command.data)
        };
        let kind = instruction::name(command.header);
        let asked = format!("> {} {data}", command.header);
        let data = hex::encode(&response.data);
        let blank = if data.is_empty() { "" } else { " " };
        let _ = write!(self.file, "# {kind}\n{}\n< {data}{blank}{}\n\n", asked.trim_end(), response.status);
    }
}

impl Applet for Recorded<'_> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn aid(&self) -> &[u8] {
        self.inner.aid()
    }

    fn select(&mut self, command: &Command<'_>) -> Response {
        let response = self.inner.select(command);
        self.write(command, &response);
        response
    }

    fn command(&mut self, command: &Command<'_>) -> Response {
        let response = self.inner.command(command);
        self.write(command, &response);
        response
    }

    fn deselect(&mut self) {
        self.inner.deselect();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{framing::Lengths, neighbour::Neighbour, reader::Picc, script};

    const SELECT: &[u8] = &[0, 0xA4, 4, 0, 6, 0xF0, 0, 0, 1, 1, 1];
    const VERIFY: &[u8] = &[0, 0x20, 0, 0x81, 2, 0x31, 0x32];

    #[test]
    fn what_was_recorded_plays_again_and_tells_no_pin() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("recorded");
        let recorded = Recorded::new(Box::new(Neighbour), &path).unwrap();
        let mut chip = crate::chip::Chip::new(vec![], Lengths::Extended, vec![Box::new(recorded)]);
        let answers: Vec<_> = [SELECT, VERIFY].iter().map(|apdu| chip.transmit(apdu).octets).collect();

        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("# verify\n> 00200081 {secret1:2}\n< 6D00\n") && !text.contains("3132"),
            "{text}"
        );
        let mut again = script::ScriptedCard::new(script::load(&path).unwrap());
        let played: Vec<_> = [SELECT, VERIFY].iter().map(|apdu| again.transmit(apdu).octets).collect();
        assert_eq!((played, again.complaint()), (answers, None));
    }
}
