//! The modules that p11-kit has registered, read from its files without p11-kit; pkcs11.conf(5).
//!
//! A module may have a file of one name in three folders: the user's, the administrator's and its package's. Together they are
//! one, and what an earlier one says goes before what a later one says, field by field.

pub mod module_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::module_file::Fields;
use super::module::Refusal;
use super::places::P11KitPlaces;
use super::remark::{Complaint, Problem};
use crate::text_file;

/// The names under which lists of programs mean us.
const OUR_NAMES: [&str; 2] = ["claviger", "claviger-scdaemon"];

/// The most files of a folder that are looked at.
const MAX_FILES: usize = 1000;

/// What is registered.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The modules: those of higher priority first, else by their names.
    pub(super) modules: Vec<Registered>,
    /// What is wrong with files; the others count.
    pub(super) complaints: Vec<Complaint>,
}

/// A registered module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registered {
    /// The files' name, without `.module`.
    pub(super) name: String,
    /// The first of the files.
    pub(super) file: PathBuf,
    fields: Fields,
}

impl Registered {
    /// The shared object as it is written.
    ///
    /// # Errors
    /// If it is none of ours to load.
    pub(super) fn module(&self) -> Result<&Path, Refusal> {
        if !self.is_for_us() {
            return Err(Refusal::OtherPrograms);
        }
        if self.fields.contains_key("remote") {
            return Err(Refusal::Remote);
        }
        self.fields
            .get("module")
            .map(Path::new)
            .filter(|module| *module != Path::new(""))
            .ok_or(Refusal::Unnamed)
    }

    /// Whether it says of itself that it holds trust.
    pub(super) fn is_trust(&self) -> bool {
        self.fields.get("trust-policy").is_some_and(|value| value == "yes")
    }

    /// The string that the module wants at `C_Initialize`.
    pub(super) fn init_reserved(&self) -> Option<String> {
        self.fields.get("x-init-reserved").cloned()
    }

    fn is_for_us(&self) -> bool {
        let names_us = |list: &String| {
            list.split(|c: char| c == ',' || c.is_whitespace()).any(|name| OUR_NAMES.contains(&name))
        };
        match (self.fields.get("enable-in"), self.fields.get("disable-in")) {
            (Some(enabled), _) => names_us(enabled),
            (None, Some(disabled)) => !names_us(disabled),
            (None, None) => true,
        }
    }

    fn priority(&self) -> i64 {
        self.fields.get("priority").and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

/// Reads what is registered.
pub(super) fn read(places: &P11KitPlaces) -> Registry {
    let mut reader = Reader::default();
    for folder in reader.folders(places) {
        reader.folder(folder);
    }
    let mut modules: Vec<_> = reader.modules.into_values().collect();
    modules.sort_by_key(|module| std::cmp::Reverse(module.priority()));
    Registry { modules, complaints: reader.complaints }
}

#[derive(Debug, Default)]
struct Reader {
    modules: BTreeMap<String, Registered>,
    complaints: Vec<Complaint>,
}

/// What `user-config` says of the user's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserConfig {
    None,
    Merge,
    Only,
}

impl Reader {
    /// The folders that count, those first that go before others.
    fn folders<'p>(&mut self, places: &'p P11KitPlaces) -> Vec<&'p Path> {
        let systems = [places.system_modules.as_path(), places.package_modules.as_path()];
        let Some(user) = &places.user else { return systems.to_vec() };
        let users = [user.modules.as_path()];
        match self.user_config(&places.system_file, &user.file) {
            UserConfig::None => systems.to_vec(),
            UserConfig::Merge => users.into_iter().chain(systems).collect(),
            UserConfig::Only => users.to_vec(),
        }
    }

    /// The system's word, and the user's where the system lets the user speak.
    fn user_config(&mut self, system: &Path, user: &Path) -> UserConfig {
        match self.user_config_in(system).unwrap_or(UserConfig::Merge) {
            UserConfig::None => UserConfig::None,
            word => self.user_config_in(user).unwrap_or(word),
        }
    }

    fn user_config_in(&mut self, file: &Path) -> Option<UserConfig> {
        match self.fields(file)?.get("user-config")?.as_str() {
            "none" => Some(UserConfig::None),
            "merge" => Some(UserConfig::Merge),
            "only" | "override" => Some(UserConfig::Only),
            other => {
                let expected = "none, merge or only";
                let problem =
                    Problem::Value { key: "user-config".into(), expected, found: format!("{other:?}") };
                self.complaints.push(Complaint::of_file(file, problem));
                None
            }
        }
    }

    fn folder(&mut self, folder: &Path) {
        // A folder that is not there, or not for us, registers nothing.
        let entries = std::fs::read_dir(folder).into_iter().flatten().take(MAX_FILES);
        for file in entries.flatten().map(|entry| entry.path()) {
            if let Some(name) = name_of(&file)
                && let Some(fields) = self.fields(&file)
            {
                let name = name.to_owned();
                let new = || Registered { name: name.clone(), file, fields: Fields::new() };
                let known = self.modules.entry(name.clone()).or_insert_with(new);
                for (field, value) in fields {
                    known.fields.entry(field).or_insert(value);
                }
            }
        }
    }

    fn fields(&mut self, file: &Path) -> Option<Fields> {
        let complaint = match text_file::read_if_there(file) {
            Ok(text) => match module_file::read(&text?) {
                Ok(fields) => return Some(fields),
                Err(error) => Complaint::of_line(file, error.line, Problem::Syntax(error.problem.to_owned())),
            },
            Err(error) => Complaint::of_file(file, Problem::Unreadable(error.to_string())),
        };
        self.complaints.push(complaint);
        None
    }
}

/// The module's name, if that is what a file of a registered module is called.
fn name_of(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?.strip_suffix(".module")?;
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.');
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    (begins_well && name.bytes().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::places::Places;
    use super::*;

    /// What is registered where these files are; `user/` is the user's folder, `system/` the administrator's.
    fn registry(files: &[(&str, &str)]) -> Registry {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read(&Places::bare(home.path()).p11_kit)
    }

    fn names(registry: &Registry) -> Vec<&str> {
        registry.modules.iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn files_of_one_name_are_one_module_field_by_field() {
        let registry = registry(&[
            ("package/a.module", "module: package.so\npriority: 1\nx-init-reserved: x\n"),
            ("system/a.module", "module: system.so\npriority: 2\n"),
            ("user/a.module", "module: user.so\n"),
        ]);
        let [module] = &registry.modules[..] else { panic!("{registry:?}") };
        assert_eq!(module.module(), Ok(Path::new("user.so")));
        assert_eq!((module.priority(), module.init_reserved().as_deref()), (2, Some("x")));
        assert!(module.file.ends_with("user/a.module"));
    }

    #[test]
    fn the_system_says_whether_a_user_has_a_say_and_then_the_user_does() {
        let modules = [("package/p.module", "module: p.so\n"), ("user/u.module", "module: u.so\n")];
        for (system, user, expected) in [
            ("", "", &["p", "u"][..]),
            ("user-config: none", "user-config: only", &["p"]),
            ("user-config: only", "", &["u"]),
            ("user-config: merge", "user-config: none", &["p"]),
            ("", "user-config: only", &["u"]),
        ] {
            let confs = [("pkcs11.conf", system), ("user-pkcs11.conf", user)];
            assert_eq!(names(&registry(&[&modules[..], &confs].concat())), expected, "{system}, {user}");
        }
    }

    #[test]
    fn higher_priorities_come_first() {
        let registry = registry(&[
            ("package/a.module", "module: a.so\n"),
            ("package/b.module", "module: b.so\npriority: -1\n"),
            ("package/c.module", "module: c.so\npriority: 10\n"),
            ("package/d.module", "module: d.so\npriority: soon\n"),
        ]);
        assert_eq!(names(&registry), ["c", "a", "d", "b"]);
    }

    #[test]
    fn modules_for_others_and_modules_that_are_none_are_not_for_us() {
        for (text, expected) in [
            ("module: m.so", Ok(Path::new("m.so"))),
            ("module: m.so\nenable-in: ssh, claviger", Ok(Path::new("m.so"))),
            ("module: m.so\nenable-in: geary, claviger-other", Err(Refusal::OtherPrograms)),
            ("module: m.so\nenable-in:", Err(Refusal::OtherPrograms)),
            ("module: m.so\ndisable-in: firefox", Ok(Path::new("m.so"))),
            ("module: m.so\ndisable-in: firefox claviger-scdaemon", Err(Refusal::OtherPrograms)),
            ("module:", Err(Refusal::Unnamed)),
            ("priority: 1", Err(Refusal::Unnamed)),
            ("remote: |ssh host p11-kit remote m.so", Err(Refusal::Remote)),
        ] {
            assert_eq!(registry(&[("package/m.module", text)]).modules[0].module(), expected, "{text}");
        }
    }

    #[test]
    fn a_broken_file_is_named_and_the_others_count() {
        let registry = registry(&[
            ("package/a.module", "module a.so\n"),
            ("package/b.module", "module: b.so\n"),
            ("package/c.module~", "module: c.so\n"),
            ("package/.d.module", "module: d.so\n"),
            ("pkcs11.conf", "user-config: some\n"),
        ]);
        assert_eq!(names(&registry), ["b"]);
        let complaints: Vec<_> = registry.complaints.iter().map(|complaint| &complaint.problem).collect();
        let [Problem::Value { .. }, Problem::Syntax(_)] = complaints[..] else { panic!("{complaints:?}") };
        assert_eq!(registry.complaints[1].line, Some(1));
    }
}
