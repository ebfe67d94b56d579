//! `cert import`: files into the local store, for keys whose card has no room and for chains.

use std::path::Path;

use claviger_keys::x509::Certificate;

use super::command_line::Given;
use super::failure::Failure;
use super::{change, output};
use crate::hex;
use crate::store::{Added, Store};

/// `claviger cert import`. Every file is read before anything is stored.
pub(super) fn import(given: &Given) -> Result<(), Failure> {
    let files: Vec<_> = given.files().map(Path::to_owned).collect();
    let read: Result<Vec<_>, _> = files.iter().map(|path| change::certificates(path)).collect();
    let store = Store::open(&given.home());
    for (path, certificates) in files.iter().zip(read?) {
        for certificate in certificates {
            let added = store.add(&certificate);
            let added = added.map_err(|error| Failure::Add { path: path.clone(), error })?;
            output::text(&line(&certificate, added))?;
        }
    }
    Ok(())
}

/// Columns before the subject.
const INDENT: usize = 4;

fn line(certificate: &Certificate, added: Added) -> String {
    let word = match added {
        Added::New => "imported",
        Added::AlreadyThere => "unchanged",
    };
    let subject = certificate.fields().map(|fields| fields.subject().to_string()).unwrap_or_default();
    format!("{word} sha256:{}\n    {}\n", hex::write(&certificate.sha256()), output::fitted(&subject, INDENT))
}
