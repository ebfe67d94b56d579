//! An answer to reset in words (ISO 7816-3, section 8.2), line by line as GnuPG's scd prints it (`atr.c`): people compare
//! the two, and scripts read them.

use std::fmt::Write as _;

/// F, the clock rate conversion factor, by the upper half of TA1.
const CLOCK_RATES: [Option<u16>; 16] = [
    Some(0),
    Some(372),
    Some(558),
    Some(744),
    Some(1116),
    Some(1488),
    Some(1860),
    None,
    None,
    Some(512),
    Some(768),
    Some(1024),
    Some(1536),
    Some(2048),
    None,
    None,
];

/// D, the baud rate adjustment factor, by the lower half of TA1.
const RATE_ADJUSTMENTS: [&str; 16] = [
    "RFU",
    "1",
    "2",
    "4",
    "8",
    "16",
    "RFU",
    "RFU",
    "[impossible value]",
    "RFU",
    "1/-2",
    "1/-4",
    "1/-8",
    "1/-16",
    "1/-32",
    "1/-64",
];

/// The lines, each with an LF. An ATR that ends early is explained as far as it goes.
#[must_use]
pub fn in_words(atr: &[u8]) -> String {
    let mut walk = Walk { rest: atr, historical: 0, text: String::new() };
    if atr.is_empty() {
        walk.line("error: empty ATR");
    } else {
        // None: it has ended.
        let _ = walk.all(checksum(atr));
    }
    walk.text
}

/// What the last octet has to be: all others but the first, added without carry.
fn checksum(atr: &[u8]) -> u8 {
    let checked = atr.get(1..atr.len().saturating_sub(1)).unwrap_or_default();
    checked.iter().fold(0, |sum, octet| sum ^ octet)
}

/// Which interface octets follow.
#[derive(Clone, Copy)]
struct Following {
    ta: bool,
    tb: bool,
    tc: bool,
    td: bool,
}

/// The octets from the one that is being explained on, and what was said so far.
struct Walk<'a> {
    rest: &'a [u8],
    historical: usize,
    text: String,
}

impl Walk<'_> {
    fn all(&mut self, checksum: u8) -> Option<()> {
        let octets: Vec<_> = self.rest.iter().map(|octet| format!("{octet:02X}")).collect();
        self.line(&octets.join(" "));
        match self.octet() {
            0x3B => self.line("Direct convention"),
            0x3F => self.line("Inverse convention"),
            other => self.line(&format!("error: invalid TS character 0x{other:02x}")),
        }
        self.step()?;
        self.historical = usize::from(self.octet() & 0x0F);
        self.line(&format!("{} historical characters indicated", self.historical));
        let mut following = self.following();
        self.step()?;
        let mut group = 1;
        loop {
            self.interface_octets(group, following)?;
            if !following.td {
                break;
            }
            self.line(&format!("TD{group}: protocol T{} supported", self.octet() & 0x0F));
            following = self.following();
            self.step()?;
            group = group.saturating_add(1);
        }
        self.end(checksum);
        Some(())
    }

    /// The octet that is being explained.
    fn octet(&self) -> u8 {
        self.rest.first().copied().unwrap_or_default()
    }

    /// Goes on to the next one, if there is one.
    fn step(&mut self) -> Option<()> {
        self.rest = self.rest.get(1..)?;
        if self.rest.is_empty() { None } else { Some(()) }
    }

    /// What T0 or TDi announces. It is said if there is not enough left for that.
    fn following(&mut self) -> Following {
        let [ta, tb, tc, td] = [0x10, 0x20, 0x40, 0x80].map(|bit| self.octet() & bit != 0);
        let announced = [ta, tb, tc, td].iter().filter(|is_there| **is_there).count();
        if announced.saturating_add(self.historical) > self.rest.len() {
            self.line("error: ATR shorter than indicated by format character");
        }
        Following { ta, tb, tc, td }
    }

    /// TA, TB and TC of a group.
    fn interface_octets(&mut self, group: u8, following: Following) -> Option<()> {
        self.interface_octet(following.ta, ta, group)?;
        self.interface_octet(following.tb, tb, group)?;
        self.interface_octet(following.tc, tc, group)
    }

    fn interface_octet(&mut self, is_there: bool, explain: fn(u8, u8) -> String, group: u8) -> Option<()> {
        if !is_there {
            return Some(());
        }
        self.line(&explain(group, self.octet()));
        self.step()
    }

    fn end(&mut self, checksum: u8) {
        if self.historical >= self.rest.len() {
            self.line("error: ATR shorter than required for historical bytes and checksum");
        }
        let (historical, rest) = self.rest.split_at(self.historical.min(self.rest.len()));
        if self.historical > 0 {
            let octets: String = historical.iter().map(|octet| format!(" {octet:02X}")).collect();
            self.line(&format!("HCH:{octets}"));
        }
        match rest.split_first() {
            None => self.line("error: checksum missing"),
            Some((given, garbage)) => {
                if *given == checksum {
                    self.line(&format!("TCK: {given:02X} (good)"));
                } else {
                    self.line(&format!("TCK: {given:02X} (bad; computed {checksum:02X})"));
                }
                if !garbage.is_empty() {
                    self.line(&format!("error: {} bytes garbage at end of ATR", garbage.len()));
                }
            }
        }
    }

    fn line(&mut self, text: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{text}");
    }
}

fn ta(group: u8, octet: u8) -> String {
    match group {
        1 => format!("TA1: F={} D={}", clock_rate(octet >> 4), rate_adjustment(octet & 0x0F)),
        2 => {
            let toggle = if octet & 0x80 == 0 { "" } else { "no-" };
            let how = if octet & 0x10 == 0 { "ex" } else { "im" };
            let reserved = if octet & 0x60 == 0 {
                String::new()
            } else {
                format!("\nnote: reserved bits are set (TA2=0x{octet:02X})")
            };
            format!("TA2: (PTS) {toggle}toggle, {how}plicit, T={:02X}{reserved}", octet & 0x0F)
        }
        _ => format!("TA{group}: IFSC={octet}"),
    }
}

fn tb(group: u8, octet: u8) -> String {
    match group {
        1 => {
            let high = if octet & 0x80 == 0 { "" } else { " [high bit not cleared]" };
            format!("TB1: II={} PI1={}{high}", octet >> 5 & 3, octet & 0x1F)
        }
        2 => format!("TB2: PI2={octet}"),
        _ => format!("TB{group}: BWI={} CWI={}", octet >> 4, octet & 0x0F),
    }
}

fn tc(group: u8, octet: u8) -> String {
    match (group, octet) {
        (1, 0xFF) => "TC1: guard time shortened to 1 etu".to_owned(),
        (1, _) => format!("TC1: (extra guard time) N={octet}"),
        (2, _) => format!("TC2: PWI={octet}"),
        _ => format!("TC{group}: 0x{octet:02X}"),
    }
}

fn clock_rate(code: u8) -> String {
    match CLOCK_RATES.get(usize::from(code)).copied().flatten() {
        Some(0) => "internal clock".to_owned(),
        Some(rate) => rate.to_string(),
        None => "RFU".to_owned(),
    }
}

fn rate_adjustment(code: u8) -> &'static str {
    RATE_ADJUSTMENTS.get(usize::from(code)).copied().unwrap_or("RFU")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(atr: &[u8]) -> Vec<String> {
        in_words(atr).lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_part_of_an_atr_has_its_line() {
        let interface = [0xF2, 0x18, 0xA5, 0x00, 0x91, 0x71, 0x8A, 0x11, 0x70];
        let atr = [&[0x3F], &interface[..], &[0x20, 0x45, 0x01, 0xAB, 0xCD]].concat();
        assert_eq!(
            lines(&atr)[1..],
            [
                "Inverse convention",
                "2 historical characters indicated",
                "TA1: F=372 D=[impossible value]",
                "TB1: II=1 PI1=5 [high bit not cleared]",
                "TC1: (extra guard time) N=0",
                "TD1: protocol T1 supported",
                "TA2: (PTS) toggle, implicit, T=01",
                "note: reserved bits are set (TA2=0x71)",
                "TD2: protocol T10 supported",
                "TD3: protocol T1 supported",
                "TA4: IFSC=112",
                "HCH: 20 45",
                "TCK: 01 (bad; computed 8B)",
                "error: 2 bytes garbage at end of ATR",
            ]
            .map(str::to_owned)
            .into_iter()
            .collect::<Vec<_>>()
        );
    }

    #[test]
    fn an_atr_without_a_checksum_misses_it() {
        let last = lines(&[0x3B, 0x02, 0x14, 0x50]);
        let missing = [
            "error: ATR shorter than required for historical bytes and checksum",
            "HCH: 14 50",
            "error: checksum missing",
        ];
        assert_eq!(last[3..], missing.map(str::to_owned));
    }

    #[test]
    fn an_atr_cut_anywhere_is_explained_as_far_as_it_goes() {
        let whole =
            [0x3B, 0xDA, 0x18, 0xFF, 0x81, 0xB1, 0xFE, 0x75, 0x1F, 0x03, 0, 0x31, 0xF5, 0x73, 0xC0, 1];
        for length in 1..whole.len() {
            let words = lines(&whole[..length]);
            assert!(words.len() > 1 || length == 1, "{length}: {words:?}");
        }
        assert_eq!(lines(&[]), ["error: empty ATR"]);
        assert_eq!(lines(&[0x42])[1], "error: invalid TS character 0x42");
    }
}
