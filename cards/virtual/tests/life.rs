//! The program as a reader and a director see it: a socket on one side, the control socket on the other.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may fail it; clippy.toml sees only the test functions"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_claviger-virtual-card");

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

const SELECT: &str = "00A4040006D27600012401";
const VERIFY_81: &str = "0020008106313233343536";
const VERIFY_83: &str = "00200083083132333435363738";
const GENERATE: &str = "0047800002B60000";
/// Signs 32 octets.
const SIGN: &str = "002A9E9A200102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F2000";
const SEIZE: &str = "00A4040005F000000101";

/// A reader socket with its directory, and the program that plugs into it.
struct World {
    home: TempDir,
    reader: UnixListener,
    program: Option<Child>,
}

/// A card in the reader.
struct Card(UnixStream);

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let reader = UnixListener::bind(home.path().join("reader")).unwrap();
        Self { home, reader, program: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Starts the program with `args`, in the home directory.
    fn start(&mut self, args: &[&str]) {
        let program = Command::new(PROGRAM)
            .args(["--socket", "reader", "--control", "control", "--apdu-log", "log", "--count", "count"])
            .args(args)
            .current_dir(self.home.path())
            .stderr(Stdio::piped())
            .spawn();
        self.program = Some(program.unwrap());
    }

    /// The card that comes next.
    fn card(&self) -> Card {
        self.reader.set_nonblocking(true).unwrap();
        let stream = patiently(|| self.reader.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut card = Card(stream);
        card.signal(1);
        card
    }

    fn tell(&self, line: &str) -> String {
        let mut stream = patiently(|| UnixStream::connect(self.path("control")).ok());
        writeln!(stream, "{line}").unwrap();
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).unwrap();
        reply.trim_end().to_owned()
    }

    fn end(&mut self) -> Output {
        assert_eq!(self.tell("quit"), "OK");
        self.program.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill().unwrap();
            program.wait().unwrap();
        }
    }
}

impl Card {
    fn signal(&mut self, signal: u8) {
        self.0.write_all(&[0, 1, signal]).unwrap();
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length).ok()?;
        let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut octets).ok()?;
        Some(octets)
    }

    fn submit(&mut self, apdu: &str) {
        let octets: Vec<u8> =
            (0..apdu.len()).step_by(2).map(|at| u8::from_str_radix(&apdu[at..at + 2], 16).unwrap()).collect();
        self.0
            .write_all(&[&u16::try_from(octets.len()).unwrap().to_be_bytes(), &octets[..]].concat())
            .unwrap();
    }

    /// The answer in hex digits; `None` if the card is gone.
    fn ask(&mut self, apdu: &str) -> Option<String> {
        self.submit(apdu);
        self.receive().map(|octets| octets.iter().map(|octet| format!("{octet:02X}")).collect())
    }

    #[track_caller]
    fn expect(&mut self, apdu: &str, answer: &str) {
        assert_eq!(self.ask(apdu).as_deref(), Some(answer), "{apdu}");
    }

    /// Has an Ed25519 signature key after this, and PW3 verified.
    fn generate(&mut self) -> String {
        self.expect(SELECT, "9000");
        self.expect(VERIFY_83, "9000");
        self.expect("00DA00C10A162B06010401DA470F01", "9000");
        let key = self.ask(GENERATE).unwrap();
        assert!(key.starts_with("7F49228620") && key.ends_with("9000"), "{key}");
        key
    }
}

fn patiently<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_fresh_card_shows_itself_generates_a_key_and_signs() {
    let mut world = World::new();
    world.start(&["--serial", "0BADCAFE"]);
    let mut card = world.card();
    card.signal(4);
    let atr = card.receive().unwrap();
    assert_eq!(&atr[10..20], [0x00, 0x31, 0xF5, 0x73, 0xC0, 0x01, 0x60, 0x05, 0x90, 0x00]);
    card.expect("00CA004F00", "6D00");
    card.expect(SELECT, "9000");
    card.expect("00CA004F00", "D27600012401030400000BADCAFE00009000");
    card.expect("00CA5F5200", "0031F573C001600590009000");
    let application_data = card.ask("00CA006E000000").unwrap();
    assert!(application_data.starts_with("4F10D276000124010304") && application_data.ends_with("9000"));
    card.expect("0020008106303030303030", "63C2");
    card.generate();
    card.expect(SIGN, "6982");
    card.expect(VERIFY_81, "9000");
    assert_eq!(card.ask(SIGN).map(|signature| signature.len()), Some(2 * 66));
    card.expect(SIGN, "6982");

    let log = world.text("log");
    assert!(log.contains(" 0BADCAFE openpgp 00200081 6 - -> 0 63C2 "), "{log}");
    assert!(!log.contains("3132333435"), "no PIN in the log");
}

#[test]
fn a_neighbour_takes_the_card_and_the_pins_and_what_it_is_sent_shows() {
    let mut world = World::new();
    world.start(&[]);
    let mut card = world.card();
    card.generate();
    for (seize, answer) in [(SEIZE, Some("9000")), ("seize", None)] {
        card.expect(SELECT, "9000");
        card.expect(VERIFY_81, "9000");
        match answer {
            Some(answer) => card.expect(seize, answer),
            None => assert_eq!(world.tell(seize), "OK"),
        }
        card.expect("00CA006E000000", "6D00");
        card.expect(VERIFY_81, "6D00");
        card.expect(SELECT, "9000");
        card.expect(SIGN, "6982");
    }
    assert!(world.tell("count").contains(" leaks=2 "), "{}", world.tell("count"));
}

#[test]
fn a_card_that_is_pulled_comes_back_with_its_keys_and_without_its_pins() {
    let mut world = World::new();
    world.start(&["--absent"]);
    assert_eq!(world.tell("status"), "OK 11223344 removed latency=0");
    let inserted = thread::scope(|scope| {
        let insert = scope.spawn(|| world.tell("insert"));
        let mut card = world.card();
        assert_eq!(insert.join().unwrap(), "OK");
        card.generate();
        card.expect(VERIFY_81, "9000");
        card
    });
    assert_eq!(world.tell("remove"), "OK");
    assert_eq!({ inserted }.receive(), None);
    assert_eq!(world.tell("insert"), "OK");
    let mut card = world.card();
    card.expect(SELECT, "9000");
    card.expect(SIGN, "6982");
    card.expect(VERIFY_81, "9000");
    assert_eq!(card.ask(SIGN).map(|signature| signature.len()), Some(2 * 66));
}

#[test]
fn a_card_vanishes_at_the_named_apdu_and_returns_by_itself() {
    let mut world = World::new();
    world.start(&["--vanish-at", "2", "--return-after", "10"]);
    let mut card = world.card();
    card.expect(SELECT, "9000");
    assert_eq!(card.ask("00CA004F00"), None);
    let mut card = world.card();
    card.expect(SELECT, "9000");
    assert!(card.ask("00CA004F00").is_some());
    assert_eq!(world.tell("vanish 1"), "OK");
    assert_eq!(card.ask("00CA004F00"), None);
    assert_eq!(world.tell("status"), "OK 11223344 removed latency=0");
}

#[test]
fn one_answer_can_be_cut_or_refused() {
    let mut world = World::new();
    world.start(&[]);
    let mut card = world.card();
    card.expect(SELECT, "9000");
    assert_eq!(world.tell("cut 2 3"), "OK");
    card.expect(SELECT, "9000");
    card.expect("00CA004F00", "D27600");
    assert_eq!(world.tell("fail 1 6581"), "OK");
    card.expect("0020008106303030303030", "6581");
    card.expect("00CA00C400", "007F7F7F0300039000");
}

#[test]
fn a_touch_is_awaited_until_the_finger_comes() {
    let mut world = World::new();
    world.start(&["--touch", "withheld"]);
    let mut card = world.card();
    card.generate();
    card.expect("00DA00D6020120", "9000");
    card.expect(VERIFY_81, "9000");
    assert!(world.tell("press").starts_with("ERR "));
    card.submit(SIGN);
    assert_eq!(world.tell("await-touch"), "OK");
    assert_eq!(world.tell("status"), "OK 11223344 inserted waiting-for-touch latency=0");
    assert_eq!(world.tell("press"), "OK");
    assert_eq!(card.receive().map(|signature| signature.len()), Some(66));

    card.expect(VERIFY_81, "9000");
    card.submit(SIGN);
    assert_eq!(world.tell("await-touch"), "OK");
    assert_eq!(world.tell("remove"), "OK");
    assert_eq!(card.receive(), None);
    assert_eq!(world.tell("insert"), "OK");
    world.card().expect(SELECT, "9000");
}

#[test]
fn a_short_card_announces_it_everywhere_and_is_used_by_chaining() {
    let mut world = World::new();
    world.start(&["--short-apdu"]);
    let mut card = world.card();
    card.signal(4);
    assert_eq!(card.receive().unwrap()[16], 0x80);
    card.expect(SELECT, "9000");
    card.expect("00CA5F5200", "0031F573C001800590009000");
    card.expect("00CA006E000000", "6700");
    let application_data = card.ask("00CA006E00").unwrap();
    assert!(!application_data.contains("7F660802") && application_data.contains("5F520A0031F573C00180"));
    card.expect(VERIFY_83, "9000");
    card.expect(&format!("10DA5F5080{}", "61".repeat(128)), "9000");
    card.expect(&format!("00DA5F50FF{}", "62".repeat(255)), "9000");
    let first = card.ask("00CA5F5000").unwrap();
    assert!(first.ends_with("617F"), "{first}");
    let rest = card.ask("00C000007F").unwrap();
    assert_eq!(rest, format!("{}9000", "62".repeat(127)));
}

#[test]
fn a_state_directory_keeps_keys_and_tries_and_serves_one_process() {
    let mut world = World::new();
    world.start(&["--state", "memory"]);
    let mut card = world.card();
    let key = card.generate();
    card.expect("0020008106303030303030", "63C2");
    let second = Command::new(PROGRAM)
        .args(["--socket", "reader", "--state", "memory"])
        .current_dir(world.home.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("memory is in use by another virtual card"));
    // What was acknowledged is kept, however the program ends.
    let mut program = world.program.take().unwrap();
    program.kill().unwrap();
    program.wait().unwrap();

    world.start(&["--state", "memory"]);
    let mut card = world.card();
    card.expect(SELECT, "9000");
    card.expect("0047810002B60000", &key);
    card.expect("00CA00C400", "007F7F7F0200039000");
}

#[test]
fn several_cards_have_their_own_serial_numbers_and_counts() {
    let mut world = World::new();
    world.start(&["--card", "serial=0000000A", "--card", "serial=0000000B,absent"]);
    let mut card = world.card();
    card.expect(SELECT, "9000");
    card.expect("00CA004F00", "D27600012401030400000000000A00009000");
    assert_eq!(world.tell("insert @0000000B"), "OK");
    let mut other = world.card();
    other.expect(SELECT, "9000");
    other.expect("00CA004F00", "D27600012401030400000000000B00009000");
    assert_eq!(
        world.tell("count"),
        "OK 0000000A total=2 leaks=0 get-data=1 select=1; 0000000B total=2 leaks=0 get-data=1 select=1"
    );
}

#[test]
fn a_script_that_was_followed_ends_well_and_another_does_not() {
    let script = "> 00A40400 D27600012401\n< 9000\n> 00200081 \"123456\"\n< 63C1\n";
    for (pin, answer, code, complaint) in [
        ("0020008106313233343536", "63C1", 0, ""),
        ("0020008106313233343537", "6F00", 1, "not in the script: 00200081 and 6 secret octets"),
    ] {
        let mut world = World::new();
        fs::write(world.path("play"), script).unwrap();
        world.start(&["script", "play"]);
        let mut card = world.card();
        card.expect(SELECT, "9000");
        assert!(world.tell("verdict").starts_with("ERR 11223344: unfinished: "));
        card.expect(pin, answer);
        assert!(world.tell("verdict").contains(complaint));
        let output = world.end();
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stderr).contains(complaint));
    }
}

#[test]
fn sigterm_ends_the_program_cleanly() {
    let mut world = World::new();
    world.start(&[]);
    let mut card = world.card();
    card.expect(SELECT, "9000");
    assert_eq!(world.tell("status"), "OK 11223344 inserted latency=0");
    let mut program = world.program.take().unwrap();
    let kill = Command::new("kill").arg(program.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert_eq!(program.wait().unwrap().code(), Some(0));
    assert_eq!(card.receive(), None);
    assert!(!world.path("control").exists());
    assert_eq!(world.text("count"), "11223344 total=1 leaks=0 select=1\n");
}

#[test]
fn counts_are_written_on_sigusr1() {
    let mut world = World::new();
    world.start(&[]);
    let mut card = world.card();
    card.expect(SELECT, "9000");
    let program = world.program.as_ref().unwrap().id().to_string();
    assert!(Command::new("kill").args(["-USR1", &program]).status().unwrap().success());
    let counts =
        patiently(|| fs::read_to_string(world.path("count")).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(counts, "11223344 total=1 leaks=0 select=1\n");
    card.expect(SELECT, "9000");
}

#[test]
fn a_reader_that_goes_away_finds_the_card_again() {
    let mut world = World::new();
    world.start(&["--wait", "1"]);
    for _ in 0..3 {
        let mut card = world.card();
        card.expect("00CA004F00", "6D00");
        card.expect(SELECT, "9000");
    }
}

#[test]
fn a_slot_of_vpcd_is_plugged_into_over_tcp() {
    let slot = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut program =
        Command::new(PROGRAM).args(["--vpcd", &slot.local_addr().unwrap().to_string()]).spawn().unwrap();
    let (mut stream, _) = slot.accept().unwrap();
    // vpcd sends a length and its message apart.
    for part in [&[0, 1][..], &[4]] {
        stream.write_all(part).unwrap();
    }
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0, 21, 0x3B, 0xDA]);
    program.kill().unwrap();
    program.wait().unwrap();
}

#[test]
fn a_line_that_is_too_long_ends_the_directors_connection() {
    let mut world = World::new();
    world.start(&[]);
    assert_eq!(world.tell(&"x".repeat(2000)), "ERR the line is too long");
    assert_eq!(world.tell("latency 0"), "OK");
}

#[test]
fn a_missing_reader_is_reported_with_the_cure() {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .args(["--socket", "nowhere", "--wait", "0"])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("no reader at nowhere within 0 seconds"), "{message}");
    assert!(message.contains("start the daemon with its reader socket switched on"), "{message}");
}
