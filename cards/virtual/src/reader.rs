//! A card's life before its reader: plug in, answer, be pulled, come back.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    apdu::Response,
    journal::{Exchange, Log},
    link::{Address, Message, Plug, read_message, write_message},
    neighbour,
    seat::{Intrusion, MishapKind, Seat, Turn},
};

/// The pause between two tries to find the reader.
const RETRY: Duration = Duration::from_millis(50);

/// Something that can be plugged into a reader.
pub trait Picc {
    /// Its answer to reset.
    fn answer_to_reset(&self) -> Vec<u8>;

    /// The power went or a reset came.
    fn reset(&mut self);

    /// Carries out one APDU.
    fn transmit(&mut self, apdu: &[u8]) -> Answer;

    /// What is wrong so far, in the eyes of a card that has expectations.
    fn complaint(&self) -> Option<String> {
        None
    }
}

/// The reader was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("card {card}: no reader at {address} within {} seconds ({cause}); {}", .patience.as_secs(), .address.advice())]
pub struct NoReader {
    card: String,
    address: Address,
    patience: Duration,
    cause: io::Error,
}

/// What a card sends, and who in it has spoken.
#[derive(Debug)]
pub struct Answer {
    /// The octets, status included.
    pub octets: Vec<u8>,
    /// The applet that heard the command, or `-` where none did.
    pub applet: &'static str,
}

/// Lives at `seat` until it ends. The reader may appear up to `patience` after the start (`None`: any time later); once it
/// was there, it may go and come back at any time.
///
/// # Errors
/// [`NoReader`] if it never appeared.
pub fn live(
    seat: &Seat,
    address: &Address,
    patience: Option<Duration>,
    log: &Log,
    picc: &mut dyn Picc,
) -> Result<(), NoReader> {
    let mut patience = patience;
    seat.complain(picc.complaint());
    while seat.next_turn() == Turn::Insert {
        let Some(plug) = find_reader(seat, address, patience)? else {
            continue;
        };
        patience = None;
        // Fails only without file descriptors; the next round tries again.
        if let Ok(true) = seat.plugged(&plug) {
            log.event(&seat.card, "inserted");
            let served = serve(seat, plug, log, picc);
            picc.reset();
            seat.complain(picc.complaint());
            log.event(&seat.card, if served.is_ok() { "removed" } else { "cut-off" });
        }
        seat.unplugged();
        seat.pause(RETRY);
    }
    Ok(())
}

/// Connects, trying again until `patience` is over; `None` if the card was pulled meanwhile.
fn find_reader(seat: &Seat, address: &Address, patience: Option<Duration>) -> Result<Option<Plug>, NoReader> {
    let begun = Instant::now();
    let mut announced = false;
    loop {
        let cause = match address.connect() {
            Ok(plug) => return Ok(Some(plug)),
            Err(cause) => cause,
        };
        if let Some(patience) = patience.filter(|patience| begun.elapsed() >= *patience) {
            return Err(NoReader { card: seat.card.clone(), address: address.clone(), patience, cause });
        }
        if !announced {
            announced = true;
            eprintln!("claviger-virtual-card: card {} waits for a reader at {address} ({cause})", seat.card);
        }
        seat.pause(RETRY);
        if seat.is_elsewhere() {
            return Ok(None);
        }
    }
}

fn serve(seat: &Seat, mut plug: Plug, log: &Log, picc: &mut dyn Picc) -> io::Result<()> {
    while let Some(message) = read_message(&mut plug)? {
        let apdu = match message {
            Message::Apdu(apdu) => apdu,
            Message::SendAtr => {
                write_message(&mut plug, &picc.answer_to_reset())?;
                continue;
            }
            Message::PowerOn => {
                log.event(&seat.card, "power-on");
                continue;
            }
            Message::PowerOff | Message::Reset => {
                log.event(&seat.card, if message == Message::Reset { "reset" } else { "power-off" });
                picc.reset();
                continue;
            }
        };
        let mishap = seat.next_mishap();
        if let Some(MishapKind::Vanish { return_after }) = mishap {
            seat.vanished(return_after);
            return Ok(());
        }
        let answer = answer(seat, log, picc, &apdu, mishap);
        write_message(&mut plug, &answer.octets)?;
    }
    Ok(())
}

fn answer(seat: &Seat, log: &Log, picc: &mut dyn Picc, apdu: &[u8], mishap: Option<MishapKind>) -> Answer {
    let begun = Instant::now();
    match seat.take_intrusion() {
        Some(Intrusion::Select) => {
            picc.transmit(&neighbour::SELECT);
        }
        Some(Intrusion::Reset) => picc.reset(),
        None => {}
    }
    let answer = match mishap {
        Some(MishapKind::Fail(status)) => Answer { octets: Response::from(status).into_bytes(), applet: "-" },
        Some(MishapKind::Cut(length)) => {
            let mut answer = picc.transmit(apdu);
            answer.octets.truncate(length);
            answer
        }
        _ => picc.transmit(apdu),
    };
    std::thread::sleep(seat.latency());
    // Whoever has the answer finds it counted and written down.
    seat.count(apdu, &answer);
    seat.complain(picc.complaint());
    log.exchange(&seat.card, &Exchange { apdu, answer: &answer, took: begun.elapsed() });
    answer
}
