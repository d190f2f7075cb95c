defmodule UsesRam.MixProject do
  use Mix.Project

  def project do
    [app: :uses_ram, version: "1.0.0", deps: [{:ram, RAM_SOURCE}]]
  end
end
