%% Processes of OTP that have their names from ram_registry, for suites: a gen_server, a gen_statem
%% and a supervisor of either. Each but the supervisor ends when it is told that it lost its name.
-module(ram_named).

-export([start/2, start_supervisor/3, who/1, who/2, register_all/2, left/1]).
-export([init/1, callback_mode/0, handle_call/3, handle_cast/2, handle_info/2, handle_event/4]).

-type kind() :: gen_server | gen_statem.

via(Name) -> {via, ram_registry, Name}.

%% @doc Without a link.
-spec start(kind(), term()) -> {ok, pid()} | {error, term()}.
start(Kind, Name) ->
    Kind:start(via(Name), ?MODULE, {Kind, Name}, []).

start_link(Kind, Name) ->
    Kind:start_link(via(Name), ?MODULE, {Kind, Name}, []).

%% @doc A supervisor of this name, with a child of that one.
-spec start_supervisor(term(), kind(), term()) -> {ok, pid()}.
start_supervisor(Name, Kind, Child) ->
    {ok, Pid} = supervisor:start_link(via(Name), ?MODULE, {supervisor, Kind, Child}),
    unlink(Pid),
    {ok, Pid}.

%% @doc Which process answers.
-spec who(kind(), term()) -> {node(), pid()}.
who(Kind, Name) ->
    Kind:call(via(Name), who).

-spec who(term()) -> pid() | undefined.
who(Name) ->
    ram_registry:whereis_name(Name).

init({supervisor, Kind, Child}) ->
    Start = fun start_link/2,
    {module, ?MODULE} = erlang:fun_info(Start, module),
    {ok, {#{intensity => 1000, period => 1},
          [#{id => child, start => {erlang, apply, [Start, [Kind, Child]]}}]}};
init({gen_server, Name}) ->
    {ok, Name};
init({gen_statem, Name}) ->
    {ok, running, Name}.

callback_mode() -> handle_event_function.

handle_call(who, _From, Name) -> {reply, {node(), self()}, Name}.

handle_cast({tell, Pid}, Name) ->
    Pid ! {told, Name},
    {noreply, Name}.

handle_info({ram_event, owner_lost, Name, _Rev}, Name) -> {stop, {shutdown, name_lost}, Name}.

handle_event({call, From}, who, running, _Name) ->
    {keep_state_and_data, {reply, From, {node(), self()}}};
handle_event(cast, {tell, Pid}, running, Name) ->
    Pid ! {told, Name},
    keep_state_and_data;
handle_event(info, {ram_event, owner_lost, Name, _Rev}, running, Name) ->
    {stop, {shutdown, name_lost}}.

%% @doc Registers `{Kind, 1}' and so on, a process each, a hundred at a time.
-spec register_all(term(), pos_integer()) -> ok.
register_all(Kind, Count) ->
    Register = fun(N) ->
                       Pid = ram_holder:start(),
                       yes = ram_registry:register_name({Kind, N}, Pid)
               end,
    Work = fun(From) -> lists:foreach(Register, lists:seq(From, Count, 100)) end,
    Workers = [spawn_monitor(fun() -> Work(From) end) || From <- lists:seq(1, min(100, Count))],
    [receive {'DOWN', Monitor, process, _, Reason} -> normal = Reason end
     || {_, Monitor} <- Workers],
    ok.

%% @doc Returns when this node knows so many names and no more. Counted, since to list many takes as
%% long as what is measured.
-spec left(non_neg_integer()) -> ok.
left(Count) ->
    {Member, _, _} = ram_request:member(),
    ram_peers:eventually(fun() ->
        {ok, set, Names, _Bytes} = ram_nif:info_now(Member, <<"$ram_registry">>, {local, 0}),
        Names =:= Count
    end, 60000).
