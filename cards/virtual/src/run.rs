//! Puts the pieces together: one thread per card, one for the control socket, and the main thread, which waits for a
//! signal, for `quit`, or for a card that could not go on.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    iterator::Signals,
};

use crate::{
    chip::{Applet, Chip},
    control,
    journal::Log,
    neighbour::Neighbour,
    openpgp::{self, Damaged, Flash, FlashError},
    options::{CardOptions, Options},
    reader::{self, NoReader},
    record::Recorded,
    script::{self, ScriptError, ScriptedCard},
    seat::Seat,
};

/// How long cards may take to finish what they are doing; one that is busy for longer (a key generation) is cut off, as
/// a card is that is pulled.
const GRACE: Duration = Duration::from_millis(1000);

/// Why the program ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state directory.
    #[error(transparent)]
    Flash(#[from] FlashError),
    /// The memory in it.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The script.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// What was sent was not what the script says.
    #[error("card {card}: {complaint}")]
    Unsatisfied {
        /// The card that plays the script.
        card: String,
        /// What it complains of.
        complaint: String,
    },
    /// The reader.
    #[error(transparent)]
    NoReader(#[from] NoReader),
    /// A file or socket of ours.
    #[error("--{option} {path}: {cause}; name a path that can be written")]
    Path {
        /// The option that named it.
        option: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Something that the system always grants.
    #[error("the system refused what every program needs: {0}")]
    System(#[from] io::Error),
    /// A bug in the card's program.
    #[error("card {0}: its program broke down (see the panic above); what it had acknowledged is stored")]
    Panicked(String),
}

/// What the main thread waits for.
#[derive(Debug)]
pub(crate) enum Event {
    /// The end was asked for.
    End,
    /// Counts are asked for.
    Report,
    /// A card's thread is through.
    Card(Result<(), RunError>),
}

/// Plays the cards until the end.
///
/// # Errors
/// See [`RunError`].
pub fn run(options: Options) -> Result<(), RunError> {
    let log = match &options.apdu_log {
        Some(path) => Log::append(path).map_err(at("apdu-log", path))?,
        None => Log::default(),
    };
    let log = Arc::new(log);
    let (tell, events) = mpsc::channel();
    watch_signals(tell.clone())?;
    let mut seats = Vec::new();
    for card in &options.cards {
        let seat = Seat::new(card.serial(), card.touch, card.latency, card.mishap, card.absent);
        seats.push(Arc::new(seat));
    }
    let socket = match &options.control {
        Some(path) => Some(control::listen(path, &seats, &tell).map_err(at("control", path))?),
        None => None,
    };
    for (card, seat) in options.cards.into_iter().zip(&seats) {
        start_card(card, options.patience, seat, &log, &tell);
    }
    let ending = wait(&events, &seats, options.count.as_ref());
    seats.iter().for_each(|seat| seat.end());
    let late = finish(&events, seats.len());
    drop(socket);
    report(&seats, options.count.as_ref())?;
    ending.and(late).and_then(|()| seats.iter().try_for_each(|seat| satisfied(seat)))
}

fn satisfied(seat: &Seat) -> Result<(), RunError> {
    match seat.complaint() {
        Some(complaint) => Err(RunError::Unsatisfied { card: seat.card.clone(), complaint }),
        None => Ok(()),
    }
}

fn at(option: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |cause| RunError::Path { option, path, cause }
}

fn watch_signals(tell: mpsc::Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    thread::spawn(move || {
        for signal in &mut signals {
            let event = if signal == SIGUSR1 { Event::Report } else { Event::End };
            if tell.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn start_card(
    card: CardOptions,
    patience: Option<Duration>,
    seat: &Arc<Seat>,
    log: &Arc<Log>,
    tell: &mpsc::Sender<Event>,
) {
    let (seat, log, tell) = (Arc::clone(seat), Arc::clone(log), tell.clone());
    thread::spawn(move || {
        let life = thread::spawn({
            let seat = Arc::clone(&seat);
            move || live(&card, patience, &seat, &log)
        });
        let end = life.join().unwrap_or_else(|_| Err(RunError::Panicked(seat.card.clone())));
        // Nobody listens any more when the program is ending.
        let _ = tell.send(Event::Card(end));
    });
}

fn live(card: &CardOptions, patience: Option<Duration>, seat: &Seat, log: &Log) -> Result<(), RunError> {
    if let Some(path) = &card.script {
        let mut scripted = ScriptedCard::new(script::load(path)?);
        return Ok(reader::live(seat, &card.address, patience, log, &mut scripted)?);
    }
    let flash = match &card.state {
        Some(directory) => Flash::directory(directory)?,
        None => Flash::ram().map_err(|_| Damaged)?,
    };
    openpgp::with_applet(flash, card.identity, Arc::clone(&seat.finger), |openpgp| {
        let openpgp: Box<dyn Applet + '_> = match &card.record {
            Some(path) => Box::new(Recorded::new(openpgp, path).map_err(at("record", path))?),
            None => openpgp,
        };
        let lengths = card.identity.lengths;
        let atr = openpgp::answer_to_reset(lengths);
        let mut chip = Chip::new(atr, lengths, vec![openpgp, Box::new(Neighbour)]);
        Ok(reader::live(seat, &card.address, patience, log, &mut chip)?)
    })?
}

/// Waits for the end; a card that fails is one.
fn wait(
    events: &mpsc::Receiver<Event>,
    seats: &[Arc<Seat>],
    count: Option<&PathBuf>,
) -> Result<(), RunError> {
    loop {
        match events.recv() {
            Ok(Event::Report) => {
                seats.iter().for_each(|seat| eprintln!("{seat} {}", seat.counts()));
                report(seats, count)?;
            }
            Ok(Event::Card(end)) => return end,
            Ok(Event::End) | Err(mpsc::RecvError) => return Ok(()),
        }
    }
}

/// Gives the cards their grace and collects what they had to say.
fn finish(events: &mpsc::Receiver<Event>, cards: usize) -> Result<(), RunError> {
    let mut left = cards;
    while left > 0 {
        match events.recv_timeout(GRACE) {
            Ok(Event::Card(end)) => end?,
            Ok(Event::End | Event::Report) => continue,
            Err(_) => return Ok(()),
        }
        left = left.saturating_sub(1);
    }
    Ok(())
}

/// Writes the counts down, if a file was named for them: a line for each card.
fn report(seats: &[Arc<Seat>], count: Option<&PathBuf>) -> Result<(), RunError> {
    let Some(path) = count else { return Ok(()) };
    let lines: String = seats.iter().map(|seat| format!("{} {}\n", seat.card, seat.counts())).collect();
    fs::write(path, lines).map_err(at("count", path))
}
