//! `buzon gateway register`.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use url::Url;

use super::AccountClient;
use super::secret_file::SecretFile;
use crate::cli::WrongUse;
use buzon::config::{Config, OwnSecrets};
use buzon::simulate::{SendTarget, Sender};
use domain::access::signature::Secret;
use domain::event::SECRET_CHECK;
use domain::instance::{self, InstanceId};
use platform::clock::{Clock, SystemClock};
use platform::random;
use platform::terminal;

const SECRET_BYTES: usize = 32;

/// The change of the secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretChange {
    None,
    New,
    DropOld,
}

impl SecretChange {
    pub(super) fn of(new: bool, drop_old: bool) -> Self {
        match (new, drop_old) {
            (true, _) => Self::New,
            (_, true) => Self::DropOld,
            _ => Self::None,
        }
    }
}

/// Registers the webhook. At every step, buzon has the secret that the gateway signs with: a new secret is written
/// beside the old one before the gateway gets it, and the old one is removed after the gateway has confirmed the new
/// one.
pub(super) async fn run(client: AccountClient, change: SecretChange) -> anyhow::Result<()> {
    let instance = &client.account.instance;
    let url = webhook_url(&client.config, instance)?;
    let (secret, old) = match change {
        SecretChange::None => (configured(&client.config, instance)?, None),
        SecretChange::New => (new_secret(&client.config, instance)?, None),
        SecretChange::DropOld => old_file(&client.config, instance).map(|(file, secret)| (secret, Some(file)))?,
    };
    check_accepted_here(&client.config, instance, &secret).await?;
    let registered = client.gateway.set_webhook(&client.account, &url, &secret).await;
    registered.map_err(|error| match change {
        SecretChange::New => {
            anyhow!("{error}; the new secret stands beside the old one, and both are valid: {}", next(instance))
        }
        SecretChange::None | SecretChange::DropOld => anyhow!("{error}; nothing is changed here"),
    })?;
    let mut out = terminal::stdout();
    writeln!(out, "The gateway sends the events of instance {instance} to {url}, signed.")?;
    if let Some(file) = old {
        file.write(&[&secret]).context("the gateway has the new secret; the old one could not be removed")?;
        writeln!(out, "The old secret is gone from its file, and is refused from the next start on.")?;
    }
    writeln!(
        out,
        "To test it, press Test Webhook in the panel (/manage_instance.php?id={id}); buzon's log then says,\n\
         with the gateway's address:\n\
         \x20   a test webhook has arrived and is stored (signature valid)",
        id = instance.path_segment()
    )?;
    if change == SecretChange::New {
        writeln!(out, "In a few days, run: buzon gateway register {instance} --drop-old-secret")?;
    }
    Ok(())
}

/// Says what to do next.
fn next(instance: &InstanceId) -> String {
    format!("run: buzon gateway register {instance}")
}

fn webhook_url(config: &Config, instance: &InstanceId) -> anyhow::Result<Url> {
    let example = "how the gateway reaches buzon, such as https://buzon.example.com";
    let base =
        config.public_url.as_ref().ok_or_else(|| WrongUse(format!("BUZON_PUBLIC_URL is not set; it is {example}")))?;
    Ok(instance::webhook_url(base, Some(instance)))
}

fn configured(config: &Config, instance: &InstanceId) -> anyhow::Result<Secret> {
    let missing = || {
        WrongUse(format!(
            "there is no secret for instance {instance}; set BUZON_WEBHOOK_SECRET, or have one made with --new-secret"
        ))
    };
    Ok(config.keyring.signing(Some(instance)).cloned().ok_or_else(missing)?)
}

/// Returns where the secrets of the instance are.
fn own_secrets<'c>(config: &'c Config, instance: &InstanceId) -> &'c OwnSecrets {
    let configured = config.instances.iter().find(|configured| configured.id == *instance);
    configured.map_or(&OwnSecrets::None, |configured| &configured.own_secrets)
}

fn open(path: &Path) -> anyhow::Result<(SecretFile, Vec<Secret>)> {
    let read = SecretFile::open(path).and_then(|file| file.secrets().map(|secrets| (file, secrets)));
    read.with_context(|| format!("the secrets cannot be read: {}", path.display()))
}

/// Makes a secret and writes it before the old one, or prints what to write where.
fn new_secret(config: &Config, instance: &InstanceId) -> anyhow::Result<Secret> {
    let new = Secret::new(hex::encode(random::bytes::<SECRET_BYTES>()?)).expect("64 digits are long enough");
    let OwnSecrets::File(path) = own_secrets(config, instance) else {
        write!(terminal::stdout(), "{}", by_hand(config, instance, &new))?;
        let unchanged = "the instance has no file for its secrets alone, so nothing is changed";
        return Err(WrongUse(format!("{unchanged}; write what is printed above")).into());
    };
    let (file, secrets) = open(path)?;
    let [old] = secrets.as_slice() else {
        return Err(WrongUse(format!(
            "{} has two secrets already; set the first at the gateway with: buzon gateway register {instance}, \
             and remove the other with --drop-old-secret",
            path.display()
        ))
        .into());
    };
    file.write(&[&new, old]).with_context(|| format!("{} could not be written, and is as it was", path.display()))?;
    writeln!(terminal::stdout(), "A new secret stands in {}, before the old one.", path.display())?;
    Ok(new)
}

/// Returns the file with two secrets, and the first of them.
fn old_file(config: &Config, instance: &InstanceId) -> anyhow::Result<(SecretFile, Secret)> {
    if let OwnSecrets::File(path) = own_secrets(config, instance) {
        let (file, secrets) = open(path)?;
        if let [new, _old] = secrets.as_slice() {
            return Ok((file, new.clone()));
        }
    }
    Err(WrongUse(format!("instance {instance} has no file with two secrets, so there is no old one to remove")).into())
}

/// Returns the instructions for a change by hand, because buzon changes neither settings files nor the environment.
fn by_hand(config: &Config, instance: &InstanceId, new: &Secret) -> String {
    let id = format!("{:?}", instance.as_str());
    let (old, note) = match (own_secrets(config, instance), config.keyring.signing(None)) {
        (OwnSecrets::None, None) => ("", ""),
        (OwnSecrets::None, Some(_)) => (
            ", \"WHAT webhook_secret IS\"",
            "\nand remove webhook_secret, for no secret may stand twice. If other instances need it, leave it and the second one\n\
             here out: events that come between the next start and the registering are then refused and sent again.",
        ),
        (OwnSecrets::File(_) | OwnSecrets::Scattered, _) => (", \"THE ONE THAT THE GATEWAY HAS NOW\"", ""),
    };
    format!(
        "In the file with the settings, write\n\n\
         \x20   [[instances]]\n\
         \x20   id = {id}\n\
         \x20   secrets = [\"{new}\"{old}]\n{note}\n\
         Then start buzon again, and run: buzon gateway register {instance}\n",
        new = new.expose(),
    )
}

/// Checks that a buzon that runs here accepts the secret, since it reads secrets at its start. If none runs, the next
/// one will accept it.
async fn check_accepted_here(config: &Config, instance: &InstanceId, secret: &Secret) -> anyhow::Result<()> {
    let target = SendTarget::listening(config.listen);
    let body = serde_json::json!({
        "event_type": SECRET_CHECK, "instance_id": instance.as_str(), "timestamp": SystemClock.now().seconds(),
    });
    let sender = Sender::new(&target)?;
    match sender.send(Some(instance), body.to_string().into_bytes(), Some(secret)).await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) if answer.status == 401 => bail!(
            "the buzon at {target} does not take this secret, because it reads secrets at its start; the gateway is left as it \
             is, and nothing is lost: start buzon again, then {}",
            next(instance)
        ),
        Ok(answer) => {
            bail!(
                "what answers at {target} does not take events ({}); correct that, then {}",
                answer.summary(),
                next(instance)
            )
        }
        Err(error) => {
            terminal::tell(&format!(
                "no buzon answers at {target} ({error}); the one that is started next takes the secret"
            ));
            Ok(())
        }
    }
}
