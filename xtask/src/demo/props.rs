//! What scenes put up in the lab: firewall rules, addresses, routes.

use anyhow::{Context, Result};

use super::scene::{Prop, Scene};
use crate::lab::{Routed, cleanup};

/// What is up; dropped, it goes.
pub struct Props<'a> {
    lab: &'a Routed,
    up: Vec<(u8, &'static Prop)>,
}

impl<'a> Props<'a> {
    /// Puts up what the scenes need.
    ///
    /// # Errors
    /// nft or ip refused; the message names the scene.
    pub fn put_up(lab: &'a Routed, scenes: &[&'static Scene]) -> Result<Self> {
        let mut props = Self { lab, up: Vec::new() };
        for scene in scenes {
            for prop in scene.props {
                let made = props.make(scene, prop);
                made.with_context(|| format!("scene {}, {}", scene.number, scene.name))?;
                props.up.push((scene.number, prop));
            }
        }
        Ok(props)
    }

    fn make(&self, scene: &Scene, prop: &Prop) -> Result<()> {
        match prop {
            Prop::Rules { role, table } => self.lab.role(role)?.nft(&format!(
                "define port = {}\ntable inet {} {{\n{table}\n}}\n",
                scene.port(),
                table_name(scene.number)
            )),
            Prop::Ip { role, make, .. } => self.lab.role(role)?.ip(make).map(drop),
        }
    }

    fn remove(&self, number: u8, prop: &Prop) -> Result<()> {
        match prop {
            Prop::Rules { role, .. } => {
                self.lab.role(role)?.nft(&format!("delete table inet {}", table_name(number)))
            }
            Prop::Ip { role, remove, .. } => self.lab.role(role)?.ip(remove).map(drop),
        }
    }
}

fn table_name(number: u8) -> String {
    format!("scene_{number}")
}

impl Drop for Props<'_> {
    fn drop(&mut self) {
        for (number, prop) in self.up.iter().rev() {
            if let Err(error) = self.remove(*number, prop)
                && !cleanup::exiting()
            {
                eprintln!("warning: something of scene {number} stays up: {error:#}");
            }
        }
    }
}
