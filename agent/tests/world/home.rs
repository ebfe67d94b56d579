//! A private GNUPGHOME with stock gpg and gpg-agent, one of the two scdaemons, and a stand-in for pinentry.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::token::{MODULE, PIN, SoftHsm};
use super::{Reader, Seen, repository, wait_for};

/// Which program gpg-agent finds behind `scdaemon-program`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scdaemon {
    /// The one of this project.
    Ours,
    /// GnuPG's.
    Stock,
    /// gnupg-pkcs11-scd, which serves PKCS#11 tokens only.
    Incumbent,
}

impl Scdaemon {
    /// Ours, unless the environment says `CLAVIGER_TEST_SCDAEMON=stock`: the switch that plays the tests to the original.
    pub(crate) fn under_test() -> Self {
        match std::env::var("CLAVIGER_TEST_SCDAEMON").as_deref() {
            Ok("stock") => Self::Stock,
            _ => Self::Ours,
        }
    }
}

/// A PKCS#11 module for our scdaemon.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    /// Its name.
    pub(crate) name: String,
    /// The shared object.
    pub(crate) module: PathBuf,
    /// Its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Further lines of its table.
    pub(crate) more: String,
}

impl Provider {
    /// A module as it comes.
    pub(crate) fn module(name: &str, module: &Path) -> Self {
        let (name, module) = (name.to_owned(), module.to_owned());
        Self { name, module, environment: Vec::new(), more: String::new() }
    }

    /// SoftHSM, with its tokens in a directory.
    pub(crate) fn of(name: &str, hsm: &SoftHsm) -> Self {
        let configuration = hsm.configuration().display().to_string();
        Self::module(name, Path::new(MODULE)).with("SOFTHSM2_CONF", &configuration)
    }

    /// The same with a variable in its environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its part of claviger.toml.
    fn table(&self) -> String {
        let variables: Vec<_> =
            self.environment.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
        format!(
            "[[provider]]\nname = \"{}\"\nmodule = \"{}\"\nenvironment = {{ {} }}\n{}",
            self.name,
            self.module.display(),
            variables.join(", "),
            self.more
        )
    }
}

/// A home; the agent and its scdaemon end when it is dropped.
pub(crate) struct Home {
    dir: TempDir,
    pcsc: PathBuf,
    scdaemon: Scdaemon,
    tokens: Option<PathBuf>,
}

/// Seconds until a program is taken to hang: a card can look for RSA keys for minutes.
const DEADLINE: &str = "600";

impl Home {
    /// A home whose scdaemon sees `reader` and no other, and where a new card's PINs are known to pinentry.
    pub(crate) fn new(reader: &Reader, scdaemon: Scdaemon) -> Self {
        Self::with_pcsc(reader.socket(), scdaemon)
    }

    /// A home whose scdaemon looks for pcscd at `socket`.
    pub(crate) fn with_pcsc(socket: &Path, scdaemon: Scdaemon) -> Self {
        // Sockets live in it, and their paths may have 107 octets: no deep folder.
        let private = fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix("cv").permissions(private).tempdir_in("/tmp");
        let dir = dir.expect("/tmp is writable");
        symlink(repository("testdata/world/pinentry"), dir.path().join("pinentry"))
            .expect("the folder is ours");
        symlink(env!("CARGO_BIN_EXE_claviger"), dir.path().join("claviger-scdaemon"))
            .expect("the folder is ours");
        let mut home = Self { dir, pcsc: socket.to_owned(), scdaemon, tokens: None };
        // GnuPG's from 2.3 on looks at PC/SC only when it may not drive USB readers itself.
        home.write("scdaemon.conf", "disable-ccid\n");
        home.providers(&[]);
        home.answers("user 123456\nadmin 12345678\n");
        home.switch_to(scdaemon);
        home
    }

    /// A home without PC/SC whose programs find these tokens, and where their PINs are known to pinentry. The configuration is
    /// that of the scdaemon.
    pub(crate) fn with_tokens(hsm: &SoftHsm, scdaemon: Scdaemon) -> Self {
        let mut home = Self::with_pcsc(Path::new("/nonexistent"), scdaemon);
        home.tokens = Some(hsm.configuration());
        home.answers(&format!("user {PIN}\n"));
        if scdaemon == Scdaemon::Incumbent {
            let conf = format!("providers softhsm\nprovider-softhsm-library {MODULE}\n");
            home.write("gnupg-pkcs11-scd.conf", &conf);
            fs::remove_file(home.path("claviger.toml")).expect("it was written");
        } else {
            home.providers(&[Provider::of("softhsm", hsm)]);
        }
        home
    }

    /// Has our scdaemon use these PKCS#11 modules and no others, once it starts.
    pub(crate) fn providers(&self, providers: &[Provider]) {
        let providers: String = providers.iter().map(Provider::table).collect();
        self.write("claviger.toml", &format!("p11-kit = false\n{providers}"));
    }

    /// Ends agent and scdaemon; the next program starts the agent anew, with this scdaemon behind it.
    pub(crate) fn switch_to(&mut self, scdaemon: Scdaemon) {
        self.kill_agent();
        self.scdaemon = scdaemon;
        let config = format!(
            "scdaemon-program {}\npinentry-program {}\nenable-ssh-support\n",
            self.scdaemon_program().display(),
            self.path("pinentry").display()
        );
        self.write("gpg-agent.conf", &config);
    }

    /// The scdaemon's path: ours under the name that tells it its face.
    pub(crate) fn scdaemon_program(&self) -> PathBuf {
        match self.scdaemon {
            Scdaemon::Ours => self.path("claviger-scdaemon"),
            Scdaemon::Stock => "/usr/lib/gnupg/scdaemon".into(),
            Scdaemon::Incumbent => "/usr/bin/gnupg-pkcs11-scd".into(),
        }
    }

    /// Ends agent and scdaemon.
    pub(crate) fn kill_agent(&self) {
        drop(Seen::of(self.command("gpgconf").args(["--kill", "all"]), b""));
        // The command returns before they are gone, and so do their sockets. GnuPG's scdaemon holds a reader to its very
        // end, and does not take one that somebody else has.
        wait_for("the agent's end", || match &self.daemons()[..] {
            [] => Ok(()),
            alive => Err(format!("{alive:?}")),
        });
    }

    /// The programs that were told to live here, by their command lines.
    fn daemons(&self) -> Vec<String> {
        let home = format!("--homedir\0{}", self.dir.path().display());
        let processes = fs::read_dir("/proc").expect("/proc is mounted").filter_map(Result::ok);
        let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        lines.filter(|line| line.contains(&home)).collect()
    }

    /// A file of the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into the home.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the folder is ours");
        path
    }

    /// What pinentry answers from now on; see testdata/world/pinentry.
    pub(crate) fn answers(&self, lines: &str) {
        self.write("pins", lines);
    }

    /// What pinentry was asked since the last call.
    pub(crate) fn questions(&self) -> Vec<String> {
        let path = self.path("questions");
        let asked = fs::read_to_string(&path).unwrap_or_default();
        drop(fs::remove_file(path));
        asked.lines().map(str::to_owned).collect()
    }

    /// A program that lives in this home, with a deadline that only a hang exceeds.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.command_without_deadline(Path::new("timeout"));
        command.args(["-k", "5", DEADLINE, program]);
        command
    }

    /// A program that lives in this home.
    pub(crate) fn command_without_deadline(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs([
            ("PATH", Path::new("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")),
            ("LC_ALL", Path::new("C.UTF-8")),
            ("HOME", self.dir.path()),
            ("GNUPGHOME", self.dir.path()),
            ("PCSCLITE_CSOCK_NAME", &self.pcsc),
            ("SSH_AUTH_SOCK", &self.path("S.gpg-agent.ssh")),
            // PKCS#11 modules of this machine are none of a test's business, unless it says so.
            ("CLAVIGER_SYSTEM_CONFIG", &repository("testdata/world/claviger.toml")),
            ("CLAVIGER_GNUPG_PKCS11_SCD_CONFIG", Path::new("/nonexistent")),
        ]);
        command.envs(self.tokens.iter().map(|path| ("SOFTHSM2_CONF", path)));
        command
    }

    /// gpg, never asking on a terminal.
    pub(crate) fn gpg(&self, arguments: &[&str]) -> Seen {
        self.gpg_reads(arguments, b"")
    }

    /// The same with something on its stdin.
    pub(crate) fn gpg_reads(&self, arguments: &[&str], input: &[u8]) -> Seen {
        let always = ["--batch", "--yes", "--no-tty", "--trust-model", "always"];
        Seen::of(self.command("gpg").args(always).args(arguments), input)
    }

    /// Waits for the card: vpcd is asked every now and then only, so a new one is not seen at once.
    #[track_caller]
    pub(crate) fn wait_for_card(&self) {
        wait_for("a card", || {
            let seen = self.gpg(&["--card-status"]);
            if seen.code == Some(0) { Ok(()) } else { Err(seen) }
        });
    }

    /// gpg in dialogue: `words` are what a person would type at its prompts.
    pub(crate) fn gpg_dialogue(&self, arguments: &[&str], words: &[&str]) -> Seen {
        let always = ["--expert", "--no-tty", "--status-fd", "1", "--command-fd", "0"];
        let typed = words.join("\n") + "\n";
        Seen::of(self.command("gpg").args(always).args(arguments), typed.as_bytes())
    }

    /// The same without `--expert`: fewer questions.
    pub(crate) fn gpg_dialogue_of_a_novice(&self, arguments: &[&str], words: &[&str]) -> Seen {
        let always = ["--no-tty", "--status-fd", "1", "--command-fd", "0"];
        let typed = words.join("\n") + "\n";
        Seen::of(self.command("gpg").args(always).args(arguments), typed.as_bytes())
    }

    /// `gpg --card-edit` in dialogue.
    pub(crate) fn card_edit(&self, words: &[&str]) -> Seen {
        self.gpg_dialogue(&["--card-edit"], words)
    }

    /// A `gpg-connect-agent` session with the agent.
    pub(crate) fn agent(&self, lines: &[&str]) -> Seen {
        Seen::of(self.command("gpg-connect-agent").args(lines).arg("/bye"), b"")
    }

    /// `ssh-add -L` through the agent.
    pub(crate) fn ssh_keys(&self) -> Seen {
        // gpg starts the agent when it needs one; ssh does not.
        self.agent(&["NOP"]).ok();
        Seen::of(self.command("ssh-add").arg("-L"), b"")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(Seen::of(self.command("gpgconf").args(["--kill", "all"]), b""));
    }
}
