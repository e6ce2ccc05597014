"""What is the same of every object that the node makes: whose it is, its dates, its maker."""
