"""The resources of analysis: AnalysisTemplate and the settings of each source of metrics. No I/O."""
