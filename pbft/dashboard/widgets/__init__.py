"""The parts of the dashboard's screen, one a file. Each draws text it is given; none asks the group for anything."""
