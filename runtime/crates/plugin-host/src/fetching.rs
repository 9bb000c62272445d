//! From a digest to a plugin that can be called: out of this machine's cache, or out of the database.

use std::{fmt::Display, sync::Arc, thread};

use tokio::sync::oneshot;
use wasaga_domain::{
    ids::Digest,
    ports::{ModuleError, ModuleStore},
};

use crate::{
    loading::{Loaded, Loader, Unfit},
    usage::{Behind, run_behind},
};

/// Of a thread that loads: compiling and checking recurse.
const STACK: usize = 8 << 20;

/// Loads the module of this digest.
pub(crate) async fn fetch(
    loader: &Arc<Loader>,
    modules: &dyn ModuleStore,
    digest: Digest,
) -> Result<Arc<Loaded>, ModuleError> {
    // What this machine compiled it may have taken under other keys.
    let signed = loader.trusted.required();
    let cached = {
        let loader = loader.clone();
        off_the_runtime(move || match loader.cached(digest).filter(|_| !signed) {
            Some(component) => Ok(Some(loader.load(digest, &component).map_err(reason)?)),
            None => Ok(None),
        })
    };
    if let Some(plugin) = cached.await? {
        return Ok(Arc::new(plugin));
    }
    let bytes = modules.module(digest).await?;
    let signature = if signed { modules.signature(digest).await? } else { None };
    let loader = loader.clone();
    let ready = off_the_runtime(move || {
        if Digest::of(&bytes) != digest {
            return Err(format!(
                "module {digest} is damaged in the database: put its file into the plugin \
                 directory again"
            ));
        }
        loader.trusted.check(&bytes, signature.as_deref())?;
        loader.load(digest, &loader.compile(digest, &bytes)?).map_err(reason)
    });
    ready.await.map(Arc::new)
}

fn reason(unfit: Unfit) -> String {
    unfit.reason
}

/// Does slow work on a thread of its own, behind all that runs.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, ModuleError> {
    let (done, result) = oneshot::channel();
    let load = move || {
        run_behind(Behind::Loads);
        // Nobody waits any more, perhaps.
        let _ = done.send(work());
    };
    let failed = |error: &dyn Display| {
        ModuleError::Rejected(format!("the host failed while it loaded it: {error}"))
    };
    let thread = thread::Builder::new().name("plugin-load".into()).stack_size(STACK);
    thread.spawn(load).map_err(|error| failed(&error))?;
    match result.await {
        Ok(result) => result.map_err(ModuleError::Rejected),
        Err(_) => Err(failed(&"its log says why")),
    }
}
