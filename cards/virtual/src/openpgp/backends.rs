//! Which part of trussed carries out which request: PINs, sealed keys, long data objects and RSA come from crates of
//! their own, everything else from trussed's core.

use trussed::{
    backend::{Backend as _, BackendId},
    platform::Platform,
    serde_extensions::{ExtensionDispatch, ExtensionId, ExtensionImpl},
    service::ServiceResources,
    types::Context,
};
use trussed_auth::AuthExtension;
use trussed_auth_backend::{AuthBackend, AuthContext, FilesystemLayout};
use trussed_chunked::ChunkedExtension;
use trussed_core::{
    Error,
    api::{Reply, Request, reply, request},
    types::{Bytes, Location},
};
use trussed_rsa_alloc::SoftwareRsa;
use trussed_staging::{StagingBackend, StagingContext};
use trussed_wrap_key_to_file::WrapKeyToFileExtension;

/// The order in which the backends are asked for a request of the core.
pub(super) const ORDER: &[BackendId<Id>] = &[
    BackendId::Custom(Id::Staging),
    BackendId::Custom(Id::Auth),
    BackendId::Custom(Id::Rsa),
    BackendId::Core,
];

/// The key of the device, mixed into every PIN. A real device has one of its own; a card in software hides nothing.
const DEVICE_KEY: &[u8] = b"a virtual card has no secrets";

/// The backends beside the core.
#[derive(Debug, Clone, Copy)]
pub(super) enum Id {
    Auth,
    Staging,
    Rsa,
}

/// The requests beyond the core's, by the number that travels with them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extension {
    Auth = 0,
    Seal = 1,
    Chunked = 2,
}

impl From<Extension> for u8 {
    fn from(extension: Extension) -> Self {
        extension as Self
    }
}

impl TryFrom<u8> for Extension {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        match number {
            0 => Ok(Self::Auth),
            1 => Ok(Self::Seal),
            2 => Ok(Self::Chunked),
            _ => Err(Error::InternalError),
        }
    }
}

/// The backends themselves.
pub(super) struct Backends {
    auth: AuthBackend,
    staging: StagingBackend,
}

/// What each backend remembers of the application.
#[derive(Default)]
pub(super) struct Contexts {
    auth: AuthContext,
    staging: StagingContext,
}

impl Backends {
    pub(super) fn new() -> Result<Self, Error> {
        let key = Bytes::try_from(DEVICE_KEY).map_err(|_| Error::InternalError)?;
        Ok(Self {
            auth: AuthBackend::with_hw_key(Location::Internal, key, FilesystemLayout::V1),
            staging: StagingBackend::new(),
        })
    }
}

impl ExtensionDispatch for Backends {
    type BackendId = Id;
    type Context = Contexts;
    type ExtensionId = Extension;

    fn core_request<P: Platform>(
        &mut self,
        backend: &Id,
        context: &mut Context<Contexts>,
        request: &Request,
        resources: &mut ServiceResources<P>,
    ) -> Result<Reply, Error> {
        let (core, own) = (&mut context.core, &mut context.backends);
        match backend {
            Id::Auth => self.auth.request(core, &mut own.auth, request, resources),
            Id::Staging => self.staging.request(core, &mut own.staging, request, resources),
            Id::Rsa => SoftwareRsa.request(core, &mut (), request, resources),
        }
    }

    fn extension_request<P: Platform>(
        &mut self,
        backend: &Id,
        extension: &Extension,
        context: &mut Context<Contexts>,
        request: &request::SerdeExtension,
        resources: &mut ServiceResources<P>,
    ) -> Result<reply::SerdeExtension, Error> {
        let (core, own) = (&mut context.core, &mut context.backends);
        let staging = &mut self.staging;
        match (backend, extension) {
            (Id::Auth, Extension::Auth) => {
                self.auth.extension_request_serialized(core, &mut own.auth, request, resources)
            }
            (Id::Staging, Extension::Seal) => {
                ExtensionImpl::<WrapKeyToFileExtension>::extension_request_serialized(
                    staging,
                    core,
                    &mut own.staging,
                    request,
                    resources,
                )
            }
            (Id::Staging, Extension::Chunked) => {
                ExtensionImpl::<ChunkedExtension>::extension_request_serialized(
                    staging,
                    core,
                    &mut own.staging,
                    request,
                    resources,
                )
            }
            _ => Err(Error::RequestNotAvailable),
        }
    }
}

impl ExtensionId<AuthExtension> for Backends {
    type Id = Extension;
    const ID: Extension = Extension::Auth;
}

impl ExtensionId<WrapKeyToFileExtension> for Backends {
    type Id = Extension;
    const ID: Extension = Extension::Seal;
}

impl ExtensionId<ChunkedExtension> for Backends {
    type Id = Extension;
    const ID: Extension = Extension::Chunked;
}
