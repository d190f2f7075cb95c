%% The application: starts the supervisor, which starts the rest.
-module(ram_app).
-behaviour(application).

-export([start/2, stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    case ram_config:read() of
        {ok, Config} -> start_checked(Config, ram_node:check(Config));
        {error, Reason} -> {error, Reason}
    end.

start_checked(Config, ok) -> ram_sup:start_link(Config);
start_checked(_Config, {error, Reason}) -> {error, Reason}.

-spec stop(term()) -> ok.
stop(_State) ->
    ok.
