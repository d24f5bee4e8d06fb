"""Generation: samples made of drawn codes, and how near to real ones they are."""
