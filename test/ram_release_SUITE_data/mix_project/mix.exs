defmodule Diary.MixProject do
  use Mix.Project

  def project do
    [app: :diary, version: "1.0.0", deps: [{:ram, RAM_SOURCE}]]
  end

  def application do
    [mod: {Diary, []}]
  end
end
