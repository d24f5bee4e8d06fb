"""What `hourglass suspects` ranks by: the labelled samples, class-wise networks, their errors."""
