package git

// ParseDependabotForTest is parseDependabot.
var ParseDependabotForTest = parseDependabot
