//! What may come next, and what is left of the script after it came.
//!
//! The steps form a regular expression over commands. After each command the expression is replaced by what is left of
//! it (its derivative), so there is no position to keep and no way back to search.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    rc::Rc,
};

use crate::{
    apdu::{Command, Header, Response, Status},
    framing::Reply,
    hex, instruction,
};

/// Octets that a name stands for.
type Names = BTreeMap<String, Vec<u8>>;

/// A stretch of a command's or an answer's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// These octets.
    Octets(Vec<u8>),
    /// So many octets, whatever they are, called by a name from then on.
    Any { name: String, length: usize },
    /// What the name met before.
    Named(String),
}

/// One command and its answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Where it stands.
    pub(super) line: usize,
    pub(super) header: Header,
    pub(super) data: Vec<Piece>,
    /// Status word included.
    pub(super) answer: Vec<Piece>,
    /// Whether the answer goes out as it is.
    pub(super) raw: bool,
}

/// What may come.
#[derive(Debug, Clone)]
pub(super) enum Steps {
    One(Rc<Exchange>),
    Sequence(Vec<Self>),
    AnyOrder(Vec<Self>),
    Optional(Box<Self>),
    /// So often; `None`: as often as it likes.
    Repeat(Box<Self>, Option<u32>),
}

/// A part of the script at its top.
#[derive(Debug)]
pub(super) enum Part {
    Steps(Steps),
    Always(Vec<Rc<Exchange>>),
}

/// The script from here on.
#[derive(Debug)]
pub(super) struct Plan {
    parts: VecDeque<Part>,
    /// In force now, the latest last.
    standing: Vec<Rc<Exchange>>,
    names: Names,
}

impl Plan {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        let mut plan = Self { parts: parts.into(), standing: Vec::new(), names: Names::new() };
        plan.enforce();
        plan
    }

    /// The answer to `command`, if it may come now.
    pub(super) fn answer(&mut self, command: &Command<'_>) -> Option<Reply> {
        let next = self.step(command);
        if let Some(exchange) = next {
            self.enforce();
            return Some(exchange.reply(&self.names));
        }
        let standing = self.standing.iter().rev();
        let found =
            standing.filter_map(|exchange| Some((exchange, exchange.meets(command, &self.names)?))).next();
        let (exchange, names) = found?;
        self.names = names;
        Some(exchange.reply(&self.names))
    }

    /// Whether nothing more must come.
    pub(super) fn is_over(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Steps(steps) => steps.may_be_left_out(),
            Part::Always(_) => true,
        })
    }

    /// What would be right now, for people.
    pub(super) fn expectation(&self) -> String {
        let mut next = Vec::new();
        for part in &self.parts {
            let Part::Steps(steps) = part else { continue };
            steps.firsts(&mut next);
            if !steps.may_be_left_out() {
                break;
            }
        }
        match &next[..] {
            [] => "no step is left".to_owned(),
            next => {
                let next: Vec<String> = next.iter().map(|exchange| exchange.to_string()).collect();
                format!("the script has {}", next.join(" or "))
            }
        }
    }

    fn step(&mut self, command: &Command<'_>) -> Option<Rc<Exchange>> {
        for (index, part) in self.parts.iter().enumerate() {
            let Part::Steps(steps) = part else { continue };
            if let Some((exchange, names, rest)) = steps.after(command, &self.names) {
                self.names = names;
                self.parts.drain(..=index);
                self.parts.push_front(Part::Steps(rest));
                return Some(exchange);
            }
            if !steps.may_be_left_out() {
                return None;
            }
        }
        None
    }

    /// Takes into force what stands under `always` before the next step that must come.
    fn enforce(&mut self) {
        let mut kept = VecDeque::new();
        while let Some(part) = self.parts.pop_front() {
            match part {
                Part::Always(exchanges) => self.standing.extend(exchanges),
                Part::Steps(steps) => {
                    let last = !steps.may_be_left_out();
                    kept.push_back(Part::Steps(steps));
                    if last {
                        break;
                    }
                }
            }
        }
        kept.append(&mut self.parts);
        self.parts = kept;
    }
}

impl Steps {
    /// The exchange that `command` is, and what is left after it.
    fn after(&self, command: &Command<'_>, names: &Names) -> Option<(Rc<Exchange>, Names, Self)> {
        match self {
            Self::One(exchange) => {
                let names = exchange.meets(command, names)?;
                Some((Rc::clone(exchange), names, Self::Sequence(Vec::new())))
            }
            Self::Sequence(all) => {
                for (index, steps) in all.iter().enumerate() {
                    if let Some((exchange, names, rest)) = steps.after(command, names) {
                        let later = all.iter().skip(index.saturating_add(1)).cloned();
                        let rest = std::iter::once(rest).chain(later).collect();
                        return Some((exchange, names, Self::Sequence(rest)));
                    }
                    if !steps.may_be_left_out() {
                        return None;
                    }
                }
                None
            }
            Self::AnyOrder(all) => all.iter().enumerate().find_map(|(index, steps)| {
                let (exchange, names, rest) = steps.after(command, names)?;
                let mut others = all.clone();
                others.remove(index);
                Some((exchange, names, Self::Sequence(vec![rest, Self::AnyOrder(others)])))
            }),
            Self::Optional(steps) => steps.after(command, names),
            Self::Repeat(_, Some(0)) => None,
            Self::Repeat(steps, times) => {
                let (exchange, names, rest) = steps.after(command, names)?;
                let again = Self::Repeat(steps.clone(), times.map(|times| times.saturating_sub(1)));
                Some((exchange, names, Self::Sequence(vec![rest, again])))
            }
        }
    }

    fn may_be_left_out(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Sequence(all) | Self::AnyOrder(all) => all.iter().all(Self::may_be_left_out),
            Self::Optional(_) | Self::Repeat(_, None | Some(0)) => true,
            Self::Repeat(steps, Some(_)) => steps.may_be_left_out(),
        }
    }

    /// Adds everything that could come first.
    fn firsts<'a>(&'a self, next: &mut Vec<&'a Exchange>) {
        match self {
            Self::One(exchange) => next.push(exchange),
            Self::AnyOrder(all) => all.iter().for_each(|steps| steps.firsts(next)),
            Self::Optional(steps) => steps.firsts(next),
            Self::Repeat(_, Some(0)) => {}
            Self::Repeat(steps, _) => steps.firsts(next),
            Self::Sequence(all) => {
                for steps in all {
                    steps.firsts(next);
                    if !steps.may_be_left_out() {
                        return;
                    }
                }
            }
        }
    }
}

impl Exchange {
    /// Whether this is the command; if so, the names with what it brought.
    fn meets(&self, command: &Command<'_>, names: &Names) -> Option<Names> {
        if self.header != command.header {
            return None;
        }
        let (mut names, mut rest) = (names.clone(), command.data);
        for piece in &self.data {
            let octets = match piece {
                Piece::Octets(octets) => octets.clone(),
                Piece::Named(name) => names.get(name)?.clone(),
                Piece::Any { name, length } => {
                    let octets = rest.get(..*length)?.to_vec();
                    names.insert(name.clone(), octets.clone());
                    octets
                }
            };
            rest = rest.strip_prefix(&octets[..])?;
        }
        rest.is_empty().then_some(names)
    }

    fn reply(&self, names: &Names) -> Reply {
        let octets = self.answer.iter().flat_map(|piece| match piece {
            Piece::Octets(octets) => octets.clone(),
            // The parser lets an answer name only what a command before it has met.
            Piece::Named(name) | Piece::Any { name, .. } => names.get(name).cloned().unwrap_or_default(),
        });
        let octets: Vec<u8> = octets.collect();
        match octets.split_last_chunk::<2>() {
            Some((data, status)) if !self.raw => {
                Response { data: data.to_vec(), status: Status(u16::from_be_bytes(*status)) }.into()
            }
            _ => Reply::Cut(octets),
        }
    }
}

/// As in the script, PINs and keys left out.
impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header)?;
        let probe = Command { header: self.header, data: &[0], expected: None, extended: false };
        if instruction::carries_secret(&probe) && !self.data.is_empty() {
            f.write_str(" and secret octets")?;
        } else {
            for piece in &self.data {
                match piece {
                    Piece::Octets(octets) => write!(f, " {}", hex::encode(octets))?,
                    Piece::Any { name, length } => write!(f, " {{{name}:{length}}}")?,
                    Piece::Named(name) => write!(f, " {{{name}}}")?,
                }
            }
        }
        write!(f, " (line {})", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An exchange of instruction `ins`, answered with that very octet as status.
    fn one(ins: u8) -> Steps {
        let header = Header { cla: 0, ins, p1: 0, p2: 0 };
        let answer = vec![Piece::Octets(vec![0x90, ins])];
        Steps::One(Rc::new(Exchange { line: 1, header, data: vec![], answer, raw: false }))
    }

    fn many(list: &[u8]) -> Vec<Steps> {
        list.iter().map(|ins| one(*ins)).collect()
    }

    /// Plays `commands`; gives whether all were expected, and whether nothing is missing.
    fn play(steps: Steps, commands: &[u8]) -> (bool, bool) {
        let mut plan = Plan::new(vec![Part::Steps(steps)]);
        let met = commands.iter().all(|ins| {
            let header = Header { cla: 0, ins: *ins, p1: 0, p2: 0 };
            plan.answer(&Command { header, data: &[], expected: None, extended: false }).is_some()
        });
        (met, plan.is_over())
    }

    #[test]
    fn any_order_takes_each_once() {
        let steps = || Steps::AnyOrder(vec![one(1), one(2), Steps::Sequence(many(&[3, 4]))]);
        assert_eq!(play(steps(), &[3, 4, 2, 1]), (true, true));
        assert_eq!(play(steps(), &[1, 3, 4, 2]), (true, true));
        assert_eq!(play(steps(), &[1, 1]), (false, false));
        assert_eq!(play(steps(), &[3, 1]), (false, false), "what is bound together stays together");
    }

    #[test]
    fn repetitions_are_counted_and_free_ones_may_be_none() {
        let twice = || Steps::Repeat(Box::new(Steps::Sequence(many(&[1, 2]))), Some(2));
        assert_eq!(play(twice(), &[1, 2, 1, 2]), (true, true));
        assert_eq!(play(twice(), &[1, 2, 1]), (true, false));
        assert_eq!(play(twice(), &[1, 2, 1, 2, 1]), (false, true));
        let free = || Steps::Sequence(vec![Steps::Repeat(Box::new(one(1)), None), one(2)]);
        assert_eq!(play(free(), &[2]), (true, true));
        assert_eq!(play(free(), &[1, 1, 1, 2]), (true, true));
    }

    #[test]
    fn what_is_optional_may_be_skipped_but_not_caught_up_on() {
        let steps = || Steps::Sequence(vec![Steps::Optional(Box::new(one(1))), one(2)]);
        assert_eq!(play(steps(), &[1, 2]), (true, true));
        assert_eq!(play(steps(), &[2]), (true, true));
        assert_eq!(play(steps(), &[2, 1]), (false, true));
    }

    #[test]
    fn names_stand_for_what_they_met() {
        let header = Header { cla: 0, ins: 0xDA, p1: 0, p2: 0xCE };
        let any = Piece::Any { name: "time".into(), length: 2 };
        let named = Piece::Named("time".into());
        let answer = vec![named.clone(), Piece::Octets(vec![0x90, 0])];
        let first = Exchange { line: 1, header, data: vec![any], answer: answer.clone(), raw: false };
        let second = Exchange { line: 2, header, data: vec![named], answer, raw: false };
        let steps = Steps::Sequence(vec![Steps::One(Rc::new(first)), Steps::One(Rc::new(second))]);
        let mut plan = Plan::new(vec![Part::Steps(steps)]);
        let mut send = |data| plan.answer(&Command { header, data, expected: None, extended: false });
        assert_eq!(send(&[1, 2, 3]), None, "a wildcard has its length");
        assert_eq!(send(&[1, 2]), Some(Response { data: vec![1, 2], status: Status::OK }.into()));
        assert_eq!(send(&[1, 3]), None);
        assert!(send(&[1, 2]).is_some());
    }

    #[test]
    fn the_latest_standing_answer_counts_once_its_time_has_come() {
        let standing = |status: u8| {
            let header = Header { cla: 0, ins: 0xCA, p1: 0, p2: 0 };
            let answer = vec![Piece::Octets(vec![0x90, status])];
            Part::Always(vec![Rc::new(Exchange { line: 1, header, data: vec![], answer, raw: false })])
        };
        let mut plan = Plan::new(vec![standing(1), Part::Steps(one(1)), standing(2)]);
        let mut send = |ins| {
            let header = Header { cla: 0, ins, p1: 0, p2: 0 };
            plan.answer(&Command { header, data: &[], expected: None, extended: false })
        };
        assert_eq!(send(0xCA), Some(Status(0x9001).into()));
        assert_eq!(send(1), Some(Status(0x9001).into()));
        assert_eq!(send(0xCA), Some(Status(0x9002).into()));
    }
}
