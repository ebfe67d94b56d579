//! The command line. What was typed becomes one [`Options`]; every limit is checked here.

use std::{collections::HashSet, ffi::OsString, path::PathBuf, time::Duration};

use lexopt::prelude::*;

use crate::{
    framing::Lengths,
    link::Address,
    openpgp::Identity,
    seat::{Mishap, MishapKind},
    touch::Touch,
};

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// vpcd's first port.
const VPCD_PORT: u16 = 35963;

/// How long a reader is waited for unless `--wait` says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The serial number of the first card that names none; the next ones count on from it.
const FIRST_SERIAL: u32 = 0x1122_3344;

/// The longest latency; a longer one is a slip.
const MAX_LATENCY: Duration = Duration::from_secs(60);

/// More cards than PC/SC has readers make no sense.
const MAX_CARDS: usize = 16;

/// What the program was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Play cards.
    Run(Options),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// Everything that the program does is said here.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The cards, at least one.
    pub cards: Vec<CardOptions>,
    /// The log of APDUs.
    pub apdu_log: Option<PathBuf>,
    /// Where counts go at the end and on SIGUSR1.
    pub count: Option<PathBuf>,
    /// The control socket.
    pub control: Option<PathBuf>,
    /// How long a reader is waited for; `None`: for ever.
    pub patience: Option<Duration>,
}

/// One card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardOptions {
    /// Where it plugs in.
    pub address: Address,
    /// Who it is.
    pub identity: Identity,
    /// Where it keeps its memory; `None`: in RAM.
    pub state: Option<PathBuf>,
    /// What answers, if not opcard.
    pub script: Option<PathBuf>,
    /// Where opcard's answers are recorded as a script.
    pub record: Option<PathBuf>,
    /// What the finger does.
    pub touch: Touch,
    /// The pause before each answer.
    pub latency: Duration,
    /// What happens to it at a certain APDU.
    pub mishap: Option<Mishap>,
    /// Whether it begins outside of the reader.
    pub absent: bool,
}

impl CardOptions {
    /// The serial number as people write it.
    #[must_use]
    pub fn serial(&self) -> String {
        self.identity.serial.iter().map(|octet| format!("{octet:02X}")).collect()
    }
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// Not an option, or an option without its value.
    #[error("{0}; see --help")]
    Usage(#[from] lexopt::Error),
    /// A value that cannot be.
    #[error("--{option}: `{value}` {wanted}")]
    Value {
        /// The option or the key inside `--card`.
        option: String,
        /// What was typed.
        value: String,
        /// What would have been understood.
        wanted: &'static str,
    },
    /// A reader is needed.
    #[error(
        "no reader named; say --vpcd 127.0.0.1:35963 for pcscd with vpcd, or --socket PATH for claviger's daemon"
    )]
    NoReader,
    /// Two cards cannot share this.
    #[error("two cards share {0}; give each --card its own")]
    Shared(String),
    /// Too many of them.
    #[error("more than {MAX_CARDS} cards; start another process for the rest")]
    TooManyCards,
}

/// What was typed for one card, or for all of them where it stands outside of `--card`.
#[derive(Debug, Clone, Default)]
struct Typed {
    address: Option<Address>,
    serial: Option<[u8; 4]>,
    manufacturer: Option<[u8; 2]>,
    state: Option<PathBuf>,
    script: Option<PathBuf>,
    record: Option<PathBuf>,
    touch: Option<Touch>,
    latency: Option<Duration>,
    vanish_at: Option<u64>,
    return_after: Option<Duration>,
    short: bool,
    absent: bool,
}

/// Reads the command line, program name excluded.
///
/// # Errors
/// See [`OptionsError`].
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, OptionsError> {
    let mut parser = lexopt::Parser::from_args(args);
    let (mut all, mut cards) = (Typed::default(), Vec::new());
    let (mut apdu_log, mut count, mut control, mut patience) = (None, None, None, Some(PATIENCE));
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Long("card") => cards.push(parser.value()?),
            Long("apdu-log") => apdu_log = Some(parser.value()?.into()),
            Long("count") => count = Some(parser.value()?.into()),
            Long("control") => control = Some(parser.value()?.into()),
            Long("wait") => patience = wait(&parser.value()?)?,
            Long(flag @ ("short-apdu" | "absent")) => {
                let flag = flag.to_owned();
                all.set(&flag, None)?;
            }
            Long(option) if Typed::KEYS.contains(&option) => {
                let option = option.to_owned();
                all.set(&option, Some(parser.value()?))?;
            }
            Value(verb) if verb == "script" => all.script = Some(parser.value()?.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let cards = settle(&all, &cards)?;
    Ok(Request::Run(Options { cards, apdu_log, count, control, patience }))
}

impl Typed {
    /// The keys that take a value.
    const KEYS: [&str; 11] = [
        "vpcd",
        "socket",
        "serial",
        "manufacturer",
        "state",
        "script",
        "record",
        "touch",
        "latency",
        "vanish-at",
        "return-after",
    ];

    fn set(&mut self, key: &str, value: Option<OsString>) -> Result<(), OptionsError> {
        let Some(value) = value else {
            match key {
                "short-apdu" => self.short = true,
                "absent" => self.absent = true,
                _ => return Err(wrong(key, "", "needs a value: KEY=VALUE; see --help")),
            }
            return Ok(());
        };
        let text = value.to_string_lossy().into_owned();
        let milliseconds = || -> Result<Duration, OptionsError> {
            let number = text.parse().map_err(|_| wrong(key, &text, "is no number of milliseconds"))?;
            Ok(Duration::from_millis(number))
        };
        match key {
            "vpcd" => self.address = Some(vpcd(&text)?),
            "socket" => self.address = Some(Address::Socket(value.into())),
            "serial" => {
                self.serial =
                    Some(octets(&text).ok_or_else(|| wrong(key, &text, "is not eight hex digits"))?);
            }
            "manufacturer" => {
                self.manufacturer =
                    Some(octets(&text).ok_or_else(|| wrong(key, &text, "is not four hex digits"))?);
            }
            "state" => self.state = Some(value.into()),
            "script" => self.script = Some(value.into()),
            "record" => self.record = Some(value.into()),
            "touch" => {
                let touch = text.parse();
                self.touch = Some(
                    touch.map_err(|_| wrong(key, &text, "is none of granted, withheld, delayed=SECONDS"))?,
                );
            }
            "latency" => {
                let latency = Some(milliseconds()?).filter(|latency| *latency <= MAX_LATENCY);
                self.latency = Some(latency.ok_or_else(|| wrong(key, &text, "is more than a minute"))?);
            }
            "vanish-at" => {
                let at = text.parse().ok().filter(|at| *at > 0);
                self.vanish_at = Some(at.ok_or_else(|| wrong(key, &text, "is no number from 1 on"))?);
            }
            "return-after" => self.return_after = Some(milliseconds()?),
            _ => return Err(wrong(key, &text, "is for no card; see --help")),
        }
        Ok(())
    }

    /// `key=value,key=value,flag`
    fn set_list(&mut self, list: &str) -> Result<(), OptionsError> {
        list.split(',').try_for_each(|item| match item.split_once('=') {
            Some((key, value)) => self.set(key, Some(value.into())),
            None => self.set(item, None),
        })
    }
}

/// Makes the cards out of what was typed for all and for each.
fn settle(all: &Typed, lists: &[OsString]) -> Result<Vec<CardOptions>, OptionsError> {
    if lists.len() > MAX_CARDS {
        return Err(OptionsError::TooManyCards);
    }
    let mut typed = Vec::new();
    for list in lists {
        let mut own = Typed { address: None, ..all.clone() };
        own.set_list(&list.to_string_lossy())?;
        typed.push(own);
    }
    if typed.is_empty() {
        typed.push(Typed { address: None, ..all.clone() });
    }
    let several = typed.len() > 1;
    let cards = (0..).zip(typed).map(|(index, own)| settle_one(all, own, index, several));
    let cards: Vec<CardOptions> = cards.collect::<Result<_, _>>()?;
    let (mut serials, mut slots, mut records) = (HashSet::new(), HashSet::new(), HashSet::new());
    for card in &cards {
        if !serials.insert(card.identity.serial) {
            return Err(OptionsError::Shared(format!("serial={}", card.serial())));
        }
        if matches!(card.address, Address::Vpcd { .. }) && !slots.insert(&card.address) {
            return Err(OptionsError::Shared(format!("vpcd={}", card.address)));
        }
        if card.record.as_ref().is_some_and(|record| !records.insert(record)) {
            return Err(OptionsError::Shared("a --record file".into()));
        }
    }
    Ok(cards)
}

fn settle_one(all: &Typed, own: Typed, index: u16, several: bool) -> Result<CardOptions, OptionsError> {
    let address = match (own.address, &all.address) {
        (Some(address), _) => address,
        // A slot of vpcd holds one card, so the next card goes into the next slot.
        (None, Some(Address::Vpcd { host, port })) => {
            Address::Vpcd { host: host.clone(), port: port.saturating_add(index) }
        }
        (None, Some(socket)) => socket.clone(),
        (None, None) => return Err(OptionsError::NoReader),
    };
    let lengths = if own.short { Lengths::Short } else { Lengths::Extended };
    let serial = own.serial.unwrap_or_else(|| FIRST_SERIAL.saturating_add(index.into()).to_be_bytes());
    let identity = Identity { serial, manufacturer: own.manufacturer.unwrap_or_default(), lengths };
    let return_after = own.return_after;
    let card = CardOptions {
        address,
        identity,
        state: None,
        script: own.script,
        record: own.record,
        touch: own.touch.unwrap_or(Touch::Granted),
        latency: own.latency.unwrap_or_default(),
        mishap: own.vanish_at.map(|at| Mishap { at, kind: MishapKind::Vanish { return_after } }),
        absent: own.absent,
    };
    // Several cards cannot live in one directory; each gets its own below it.
    let state = own.state.map(|state| if several { state.join(card.serial()) } else { state });
    Ok(CardOptions { state, ..card })
}

fn wait(value: &OsString) -> Result<Option<Duration>, OptionsError> {
    let text = value.to_string_lossy();
    match text.parse() {
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Err(_) if text == "forever" => Ok(None),
        Err(_) => Err(wrong("wait", &text, "is neither a number of seconds nor `forever`")),
    }
}

/// `HOST:PORT`, `HOST`, or nothing for this machine.
fn vpcd(text: &str) -> Result<Address, OptionsError> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => {
            (host, port.parse().map_err(|_| wrong("vpcd", text, "does not end in a port number"))?)
        }
        None => (text, VPCD_PORT),
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    Ok(Address::Vpcd { host: host.to_owned(), port })
}

fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    let octets = crate::hex::decode(text)?;
    octets.try_into().ok()
}

fn wrong(option: &str, value: &str, wanted: &'static str) -> OptionsError {
    OptionsError::Value { option: option.to_owned(), value: value.to_owned(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Options, OptionsError> {
        match parse(args.iter().map(OsString::from))? {
            Request::Run(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_card_is_made_where_none_is_described() {
        let options = run(&["--vpcd", "127.0.0.1:4000", "--serial", "00000007", "--latency=5"]).unwrap();
        let [card] = &options.cards[..] else { panic!("{options:?}") };
        assert_eq!(card.address, Address::Vpcd { host: "127.0.0.1".into(), port: 4000 });
        assert_eq!((card.serial().as_str(), card.latency), ("00000007", Duration::from_millis(5)));
        assert_eq!(card.identity.lengths, Lengths::Extended);
    }

    #[test]
    fn cards_differ_where_they_say_so_and_take_one_slot_each() {
        let card = "serial=0000000A,short-apdu,touch=delayed=2,vanish-at=3";
        let args = ["--vpcd", ":4000", "--state", "dir", "--card", card, "--card", "absent"];
        let options = run(&args).unwrap();
        let [first, second] = &options.cards[..] else { panic!("{options:?}") };
        assert_eq!(first.identity.lengths, Lengths::Short);
        assert_eq!(first.touch, Touch::Delayed(Duration::from_secs(2)));
        let kind = MishapKind::Vanish { return_after: None };
        assert_eq!(first.mishap, Some(Mishap { at: 3, kind }));
        assert_eq!(first.state, Some("dir/0000000A".into()));
        assert_eq!(second.address, Address::Vpcd { host: "127.0.0.1".into(), port: 4001 });
        assert_eq!(second.identity.lengths, Lengths::Extended);
        assert!(second.absent && !first.absent);
    }

    #[test]
    fn all_cards_may_use_one_reader_socket() {
        let options = run(&["--socket", "/x", "--card", "absent", "--card", "absent"]).unwrap();
        assert!(options.cards.iter().all(|card| card.address == Address::Socket("/x".into())));
    }

    #[test]
    fn what_cannot_be_is_refused_with_advice() {
        for (args, advice) in [
            (&["--serial", "12"][..], "--serial: `12` is not eight hex digits"),
            (&[][..], "no reader named; say --vpcd 127.0.0.1:35963"),
            (&["--vpcd", ":x"], "--vpcd: `:x` does not end in a port number"),
            (&["--vpcd", ":1", "--card", "vpcd=:2", "--card", "vpcd=:2"], "two cards share vpcd=127.0.0.1:2"),
            (&["--socket", "x", "--card", "serial=00000001", "--card", "serial=00000001"], "two cards share"),
            (&["--card", "fame=1"], "--fame: `1` is for no card"),
            (&["--vanish-at", "0"], "--vanish-at: `0` is no number from 1 on"),
            (&["--latency", "60001"], "--latency: `60001` is more than a minute"),
            (&["--nonsense"], "invalid option '--nonsense'; see --help"),
        ] {
            let error = run(args).unwrap_err().to_string();
            assert!(error.starts_with(advice), "{args:?} gives {error}");
        }
    }

    #[test]
    fn help_names_every_option() {
        let others =
            ["card", "apdu-log", "count", "control", "wait", "short-apdu", "absent", "help", "version"];
        for option in Typed::KEYS.iter().chain(&others) {
            assert!(HELP.contains(&format!("--{option}")), "{option}");
        }
    }
}
