//! Filters that change while the daemon runs.

use tokio::task::spawn_blocking;

use super::Daemon;
use crate::{
    config::Interface,
    control::{Change, ChangeError, FilterView},
    filter::Filter,
    kernel::LoadedFilter,
};

impl Daemon {
    /// Does what was asked for through the control socket. What is set so holds until the
    /// configuration is read again.
    pub(super) async fn change(&mut self, change: Change) {
        let Change { filter, interfaces, answer } = change;
        let result = self.change_filters(&filter, &interfaces).await;
        if let Err(error) = &result {
            log::warn!("filter not changed: {error}");
        }
        if answer.send(result).is_err() {
            log::debug!("whoever asked for a filter did not wait for the answer");
        }
    }

    /// Loads it for all interfaces before any has it.
    async fn change_filters(
        &mut self,
        filter: &Filter,
        names: &[String],
    ) -> Result<Vec<FilterView>, ChangeError> {
        let mut loaded = Vec::new();
        for index in self.named(names)? {
            let program = self.load_filter(index, filter).await;
            loaded.push((index, program.map_err(|reason| self.refused(index, reason))?));
        }
        let mut changed = Vec::new();
        for (index, program) in loaded {
            match self.put_filter(index, filter, &program) {
                Ok(()) => changed.push(self.config.interfaces[index].name.clone()),
                Err(reason) if changed.is_empty() => return Err(self.refused(index, reason)),
                Err(reason) => {
                    let interface = self.config.interfaces[index].name.clone();
                    return Err(ChangeError::Partly { interface, reason, changed });
                }
            }
        }
        Ok(self.config.interfaces.iter().map(FilterView::from).collect())
    }

    fn refused(&self, index: usize, reason: String) -> ChangeError {
        ChangeError::Refused { interface: self.config.interfaces[index].name.clone(), reason }
    }

    /// Positions of the interfaces with these names; of all if there are none.
    fn named(&self, names: &[String]) -> Result<Vec<usize>, ChangeError> {
        let interfaces = &self.config.interfaces;
        if names.is_empty() {
            return Ok((0..interfaces.len()).collect());
        }
        let position = |name: &String| {
            interfaces.iter().position(|interface| interface.name == *name).ok_or_else(|| {
                ChangeError::UnknownInterface {
                    name: name.clone(),
                    present: interfaces.iter().map(|interface| interface.name.clone()).collect(),
                }
            })
        };
        names.iter().map(position).collect()
    }

    /// Puts a changed filter and a changed capture switch into force, from one frame to the next.
    /// If that fails, the old settings stay in force; the text says why.
    pub(super) async fn reconfigure(
        &mut self,
        index: usize,
        wanted: &Interface,
    ) -> Result<(), String> {
        self.set_filter(index, &wanted.filter()).await?;
        let (port, interface) = (&mut self.ports[index], &mut self.config.interfaces[index]);
        port.set_capture(wanted.capture, &self.shared).map_err(|error| crate::chain(&error))?;
        interface.capture = wanted.capture;
        Ok(())
    }

    /// Puts a filter into force; the text says why the old one stays.
    async fn set_filter(&mut self, index: usize, filter: &Filter) -> Result<(), String> {
        if self.ports[index].filter() == *filter {
            return Ok(());
        }
        let program = self.load_filter(index, filter).await?;
        self.put_filter(index, filter, &program)
    }

    /// Compiling may take a second: not on this thread. An interface that is gone for now gets its
    /// filter too, so that it is known to load.
    async fn load_filter(&self, index: usize, filter: &Filter) -> Result<LoadedFilter, String> {
        let program = self.ports[index].program(filter);
        let loader = self.shared.tables().filter_loader();
        let loaded = spawn_blocking(move || program.load(&loader)).await;
        loaded.map_err(|error| error.to_string())?.map_err(|error| crate::chain(&error))
    }

    fn put_filter(
        &mut self,
        index: usize,
        filter: &Filter,
        program: &LoadedFilter,
    ) -> Result<(), String> {
        let port = &mut self.ports[index];
        port.put(program, &self.shared).map_err(|error| crate::chain(&error))?;
        port.took_filter(filter, &self.shared, &self.store);
        let interface = &mut self.config.interfaces[index];
        interface.filter.clone_from(&filter.expression);
        interface.trouble = filter.trouble;
        log::info!("{}: the filter is now: {}", interface.name, shown(filter));
        Ok(())
    }
}

fn shown(filter: &Filter) -> String {
    if filter.is_everything() { "(everything)".to_owned() } else { filter.to_string() }
}
