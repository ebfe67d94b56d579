//! Waits until nobody holds a lane's readers any more: pcscd may be late to learn of the end of a killed scdaemon, and
//! GnuPG's takes no card that somebody else has.

use std::process::Stdio;
use std::time::{Duration, Instant};

use pcsc::{Context, Error, ReaderState, Scope, State};

use super::reader::Lane;

/// A lane's pcscd is seen in a namespace of its own, and so from a process of its own: this very test program.
const READER: &str = "CLAVIGER_TEST_READER";
const NAME: &str = "transcript::quiet::nobody_holds_the_reader";
/// How long the one before may take to let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits, as seen from within the lane.
pub(crate) fn wait(lane: &Lane) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = lane.command(&program);
    command.args(["--exact", NAME, "--ignored"]).env(READER, &lane.name).stdout(Stdio::null());
    let status = command.status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("somebody still holds {}", lane.name)) }
}

#[test]
#[ignore = "a part of the plays: see `wait`"]
fn nobody_holds_the_reader() {
    let name = std::env::var(READER).expect("the plays name the reader");
    let deadline = Instant::now() + PATIENCE;
    while is_held(&name).expect("pcscd answers") {
        assert!(Instant::now() < deadline, "somebody holds {name}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_held(name: &str) -> Result<bool, Error> {
    let context = Context::establish(Scope::User)?;
    let readers = context.list_readers_owned()?;
    let lanes = readers.into_iter().filter(|reader| reader.to_bytes().starts_with(name.as_bytes()));
    let mut states: Vec<_> = lanes.map(|reader| ReaderState::new(reader, State::UNAWARE)).collect();
    context.get_status_change(Duration::ZERO, &mut states)?;
    Ok(states.iter().any(|state| state.event_state().intersects(State::INUSE | State::EXCLUSIVE)))
}
