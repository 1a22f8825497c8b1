"""Applications that come with pbft. They import only its public names, as yours would."""
